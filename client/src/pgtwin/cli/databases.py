from typing import TYPE_CHECKING

from pgtwin.cli import duration
from pgtwin.cli.output import Form, note, show_many, show_one
from pgtwin.cli.session import (
    USAGE,
    Refused,
    client,
    confirmed,
    database_id,
    labels_of,
)
from pgtwin.errors import NotAuthorized
from pgtwin.models import DatabaseRef

if TYPE_CHECKING:
    from pgtwin import Client

COLUMNS = ("database_id", "name", "status", "labels", "expires_at", "create_at")
SHOWN = (
    "database_id",
    "name",
    "status",
    "description",
    "labels",
    "protected",
    "expires_at",
    "create_at",
)


def ttl_of(text: str | None) -> int | None:
    """
    Raises:
        Refused: it is no time.
    """
    try:
        return None if text is None else duration.seconds(text)
    except ValueError as error:
        raise Refused(str(error), USAGE) from error


def create(
    name: str,
    description: str | None,
    ttl: str | None,
    labels: list[str] | None,
    form: Form,
    *,
    protected: bool,
) -> None:
    with client() as service:
        made = service.create_database(
            name,
            description=description,
            ttl_seconds=ttl_of(ttl),
            labels=labels_of(labels),
            protected=protected or None,
        )
        _show(service, made, form)


def _show(service: "Client", made: DatabaseRef, form: Form) -> None:
    try:
        found = service.get_database(made.id)
    except NotAuthorized:
        # It is made all the same: a key may write and not read.
        show_one(form, made)
    else:
        show_one(form, found, SHOWN)


def list_all(prefix: str | None, labels: list[str] | None, form: Form, *, dropped: bool) -> None:
    columns = (*COLUMNS, "restorable_until") if dropped else COLUMNS
    with client() as service:
        found = service.list_databases(name_prefix=prefix, labels=labels, include_dropped=dropped)
        show_many(form, found, columns)


def get(database: str, form: Form) -> None:
    with client() as service:
        found = service.get_database(database_id(service, database), include_dropped=True)
        show_one(form, found, SHOWN)


def describe(database: str, form: Form) -> None:
    with client() as service:
        found = service.get_database(database_id(service, database), include_dropped=True)
    if form is not Form.TABLE:
        show_one(form, found)
        return
    show_one(
        form, found, [*SHOWN, "uid", "space_id", "update_at", "dropped_at", "restorable_until"]
    )
    print()
    show_many(form, found.schemas, ("env", "schema_name", "tables", "size_bytes"))


def clone(
    database: str,
    new_name: str,
    env: str,
    ttl: str | None,
    labels: list[str] | None,
    form: Form,
    *,
    no_data: bool,
) -> None:
    with client() as service:
        made = service.clone_database(
            database_id(service, database),
            new_name,
            env=env,  # type: ignore[arg-type]
            data="none" if no_data else None,
            ttl_seconds=ttl_of(ttl),
            labels=labels_of(labels),
        )
        show_one(form, made)


def drop(
    database: str | None, labels: list[str] | None, form: Form, *, purge: bool, yes: bool
) -> None:
    if (database is None) == (not labels):
        raise Refused("give a database or --label, one of them", USAGE)
    with client() as service:
        how = " for good" if purge else ""
        if database is not None:
            found = database_id(service, database)
            confirmed(f"Drop the database {database}{how}?", yes=yes)
            show_one(form, service.drop_database(found, purge=purge or None))
            return
        wanted = labels_of(labels) or {}
        confirmed(f"Drop all databases with {', '.join(labels or [])}{how}?", yes=yes)
        gone: list[DatabaseRef] = []
        kept: list[DatabaseRef] = []
        while True:
            done = service.drop_databases(wanted, purge=purge or None)
            gone += done.dropped
            kept = list(done.protected)
            if not done.more or not done.dropped:
                break
        show_many(form, gone, ("database_id",))
        if kept:
            note(f"protected, and not dropped: {', '.join(str(each.id) for each in kept)}")


def restore(database: str, new_name: str | None, form: Form) -> None:
    if not database.isdecimal():
        raise Refused("give the id, which `pgtwin databases list --dropped` shows", USAGE)
    with client() as service:
        back = service.restore_database(int(database), new_name=new_name)
        _show(service, back, form)


def set_expiration(
    database: str, ttl: str | None, at: str | None, form: Form, *, never: bool
) -> None:
    if [ttl is not None, at is not None, never].count(True) != 1:
        raise Refused("give one of --ttl, --at and --never", USAGE)
    try:
        moment = None if at is None else duration.moment(at)
    except ValueError as error:
        raise Refused(f'"{at}" is no time: give it as 2027-01-31T18:00', USAGE) from error
    with client() as service:
        found = database_id(service, database)
        when = service.set_expiration(found, ttl_seconds=ttl_of(ttl), expires_at=moment)
        show_one(form, {"database_id": found, "expires_at": when})


def set_labels(database: str, labels: list[str] | None, form: Form) -> None:
    wanted = labels_of(labels) or {}
    with client() as service:
        found = database_id(service, database)
        show_one(form, {"database_id": found, "labels": service.set_labels(found, wanted)})


def protect(database: str, *, protected: bool) -> None:
    with client() as service:
        service.set_protection(database_id(service, database), protected)
