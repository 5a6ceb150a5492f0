from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a statement does; the value is how a message calls it."""

    SELECT = "SELECT"
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    MERGE = "MERGE"
    CREATE_TABLE = "CREATE TABLE"
    CREATE_TABLE_AS = "CREATE TABLE AS"
    ALTER_TABLE = "ALTER TABLE"
    DROP_TABLE = "DROP TABLE"
    COMMENT = "COMMENT"
    RENAME = "RENAME"
    CREATE_INDEX = "CREATE INDEX"
    DROP_INDEX = "DROP INDEX"
    CREATE_VIEW = "CREATE VIEW"
    DROP_VIEW = "DROP VIEW"
    CREATE_TYPE = "CREATE TYPE"
    ALTER_TYPE = "ALTER TYPE"
    DROP_TYPE = "DROP TYPE"
    CREATE_DOMAIN = "CREATE DOMAIN"
    ALTER_DOMAIN = "ALTER DOMAIN"
    DROP_DOMAIN = "DROP DOMAIN"
    CREATE_SEQUENCE = "CREATE SEQUENCE"
    ALTER_SEQUENCE = "ALTER SEQUENCE"
    DROP_SEQUENCE = "DROP SEQUENCE"
    CREATE_FUNCTION = "CREATE FUNCTION"
    DROP_FUNCTION = "DROP FUNCTION"
    CREATE_TRIGGER = "CREATE TRIGGER"
    DROP_TRIGGER = "DROP TRIGGER"


class Ruleset(StrEnum):
    """Which kinds of statements are admitted."""

    DML = "dml"
    DDL = "ddl"
    OWNER_DDL = "owner_ddl"


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that a statement names.

    Attributes:
        position: in the whole text, in characters from 1; None: it is not said.
    """

    name: str
    schema: str | None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """An admitted statement.

    Attributes:
        sql: its own text, without the semicolon.
        number: its place in the call, from 1.
        offset: characters of the whole text before `sql`.
        writes: it changes rows, or a part of it does.
        relations: those that it names, without the names that it gives to queries itself.
        returning: it changes rows and has a RETURNING.
        limited: it is a SELECT that says how many rows it gives.
        only_reads: it is a SELECT, and nothing in its text locks rows or may write.
        lists_rows: it is an INSERT of rows that are in its own text, each.
        target: of an INSERT, the name under which RETURNING knows the row.
        weighs_constants: whether it is admitted depends on the value of a constant.
    """

    kind: Kind
    sql: str
    number: int
    offset: int
    writes: bool
    relations: tuple[Relation, ...]
    returning: bool
    limited: bool
    only_reads: bool
    lists_rows: bool
    target: str | None
    weighs_constants: bool
