"""What the service answers, as frozen objects. Fields that a newer server adds are passed over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Self, get_args, get_type_hints


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """From the data of an answer."""
        kind: Any = cls
        moments = _moments(kind)
        given = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        for name in moments & given.keys():
            if isinstance(given[name], str):
                given[name] = datetime.fromisoformat(given[name])
        return cls(**given)


@cache
def _moments(kind: type[Model]) -> frozenset[str]:
    """The fields that are times."""
    hints = get_type_hints(kind)
    return frozenset(
        name for name, hint in hints.items() if hint is datetime or datetime in get_args(hint)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRef(Model):
    database_id: int

    @property
    def id(self) -> int:
        return self.database_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema(Model):
    """One environment of a database.

    Attributes:
        size_bytes: on disk, indexes included.
    """

    env: str
    schema_name: str
    size_bytes: int = 0
    tables: int = 0
    create_at: datetime | None = None
    update_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Database(DatabaseRef):
    """A database.

    Attributes:
        status: `ready`, `cloning` or `dropped`.
        expires_at: when it is dropped by itself.
        dropped_at, restorable_until: of one that was dropped and can be had back.
        schemas: of one that was asked for by its id.
    """

    name: str
    uid: str = ""
    description: str | None = None
    space_id: str = ""
    status: str = "ready"
    labels: Mapping[str, str] | None = None
    protected: bool = False
    expires_at: datetime | None = None
    dropped_at: datetime | None = None
    restorable_until: datetime | None = None
    create_at: datetime | None = None
    update_at: datetime | None = None
    create_by: str = ""
    update_by: str = ""
    schemas: Sequence[Schema] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        schemas = tuple(Schema.of(each) for each in data.get("schemas") or ())
        return super(Database, cls).of({**data, "schemas": schemas})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(DatabaseRef):
    """
    Attributes:
        restorable_until: None: it is gone for good.
    """

    restorable_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedMany(Model):
    """
    Attributes:
        protected: those that were left, for they are protected.
        more: there are others with these labels: call again.
    """

    dropped: Sequence[DatabaseRef] = ()
    protected: Sequence[DatabaseRef] = ()
    more: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        lists = {
            name: tuple(DatabaseRef.of(each) for each in data.get(name) or ())
            for name in ("dropped", "protected")
        }
        return cls(**lists, more=bool(data.get("more")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloned(DatabaseRef):
    """A copy, and the operation that made it."""

    operation_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Model):
    """Work that takes more than one transaction.

    Attributes:
        state: `scheduling`, `running`, `finished`, `failed`, `cancelling` or `cancelled`.
        done, total: steps; total may be 0 where it is not known.
    """

    operation_id: int
    kind: str
    state: str
    database_id: int
    step: str = ""
    done: int = 0
    total: int = 0
    error: Mapping[str, Any] | None = None
    attempts: int = 0
    create_at: datetime | None = None
    update_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ("finished", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Model):
    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Model):
    """One execution of one statement.

    Attributes:
        affected: rows that it inserted, updated, deleted or merged.
        rows: what it gave.
        truncated: there are more rows than the default of 100.
    """

    statement: int
    command: str
    item: int | None = None
    affected: int | None = None
    columns: Sequence[Column] = ()
    rows: Sequence[Any] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Model):
    """What SQL gave.

    Attributes:
        rows: those of all statements, as objects or as arrays.
        seconds: how long it ran.
    """

    rows: Sequence[Any]
    statements: Sequence[Statement] = ()
    seconds: float = 0.0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        rows = data["exec_success"]
        statements = []
        for each in data.get("statements") or ():
            first = each["first_row"]
            own = {
                "columns": tuple(Column.of(column) for column in each["columns"]),
                "rows": rows[first : first + each["row_count"]],
            }
            statements.append(Statement.of({**each, **own}))
        return cls(rows=rows, statements=tuple(statements), seconds=data.get("exec_time", 0.0))

    @property
    def affected(self) -> int:
        """Rows that all statements inserted, updated, deleted or merged."""
        return sum(each.affected or 0 for each in self.statements)

    @property
    def value(self) -> Any:
        """The first value of the first row; None: there is no row."""
        if not self.rows:
            return None
        row = self.rows[0]
        return next(iter(row.values())) if isinstance(row, dict) else row[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal(Model):
    """What DDL would change, and what it would lock."""

    changes: Sequence[Mapping[str, Any]] = ()
    locks: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRow(Model):
    line: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded(Model):
    """What became of a file's rows.

    Attributes:
        ids: of the first rows that were stored.
        failed_rows: the first that were not.
    """

    succeeded: int
    failed: int
    ids: Sequence[Any] = ()
    failed_rows: Sequence[FailedRow] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            succeeded=data["succeeded"],
            failed=data["failed"],
            ids=data["success_rows"],
            failed_rows=tuple(FailedRow.of(each) for each in data["failed_rows"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection(Model):
    """A login of one environment, for drivers and programs.

    Attributes:
        uri: with the password, which is shown once; None afterwards.
        mode: `read_write` or `read_only`.
    """

    connection_id: int
    database_id: int
    env: str
    mode: str
    user: str = ""
    name: str = ""
    status: str = "active"
    connection_limit: int = 0
    uri: str | None = None
    host: str = ""
    port: int = 0
    dbname: str = ""
    schema_name: str = ""
    expires_at: datetime | None = None
    create_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Connection(connection_id={self.connection_id}, user={self.user!r})"
