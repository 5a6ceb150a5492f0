import sys
from pathlib import Path
from typing import Any

from pgtwin.cli.output import Form, note, show_many, show_one
from pgtwin.cli.session import FAILED, USAGE, Refused, client, database_id

FORMATS = {".csv": "csv", ".json": "json", ".ndjson": "ndjson", ".parquet": "parquet"}


def upload(
    database: str,
    table: str,
    file: str,
    env: Any,
    mode: Any,
    key: list[str] | None,
    form: Form,
    *,
    skip: bool,
) -> None:
    """
    Raises:
        Refused: rows were left out.
    """
    with client() as service:
        found = database_id(service, database)
        done = service.upload_data(
            found, table, file, env=env, mode=mode, key=key, on_error="skip" if skip else None
        )
    if form is Form.TABLE:
        show_one(form, {"succeeded": done.succeeded, "failed": done.failed})
        for row in done.failed_rows:
            note(f"line {row.line}: {row.error}")
    else:
        show_one(form, done)
    if done.failed:
        raise Refused(f"{done.failed} rows were left out", FAILED)


def export(
    database: str, table: str | None, sql: str | None, to: str | None, form: str | None, env: Any
) -> None:
    if (table is None) == (sql is None):
        raise Refused("give a table or --sql, one of them", USAGE)
    chosen: Any = form or FORMATS.get(Path(to).suffix.lower() if to else "", "csv")
    if chosen not in FORMATS.values():
        raise Refused(f'"{chosen}" is none of {", ".join(FORMATS.values())}', USAGE)
    with client() as service:
        found = database_id(service, database)
        options: dict[str, Any] = {"sql": sql, "format": chosen, "env": env}
        if to:
            written = service.export_to(to, found, table, **options)
            note(f"{written} bytes in {to}")
            return
        for portion in service.export_data(found, table, **options):
            sys.stdout.buffer.write(portion)
        sys.stdout.buffer.flush()


def schema(database: str, env: Any, form: Form, *, ddl: bool) -> None:
    with client() as service:
        found = database_id(service, database)
        if ddl:
            print(service.get_ddl(found, env=env))
        elif form is Form.TABLE:
            print(service.get_schema_text(found, env=env))
        elif form is Form.NDJSON:
            show_many(form, service.get_schema(found, env=env)["tables"], ())
        else:
            show_one(form, service.get_schema(found, env=env))
