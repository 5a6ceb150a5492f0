"""What is known of PostgreSQL's types: built-in ones from a table, others once they are met."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

from core.postgres.builtin_types import BUILTIN_TYPES


class Kind(Enum):
    """What JSON makes of a type."""

    ARRAY = auto()
    BOOLEAN = auto()
    CHARACTERS = auto()
    FLOAT = auto()
    INTEGER = auto()
    JSON = auto()
    NUMERIC = auto()
    TIMESTAMP = auto()
    VECTOR = auto()
    OTHER = auto()  # PostgreSQL's text form


@dataclass(frozen=True, slots=True)
class PostgresType:
    """A domain has the kind, element and delimiter of its base type."""

    oid: int
    name: str
    kind: Kind = Kind.OTHER
    element: int = 0
    delimiter: str = ","


_KINDS = {
    "boolean": Kind.BOOLEAN,
    "smallint": Kind.INTEGER,
    "integer": Kind.INTEGER,
    "bigint": Kind.INTEGER,
    "oid": Kind.INTEGER,
    "numeric": Kind.NUMERIC,
    "real": Kind.FLOAT,
    "double precision": Kind.FLOAT,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
    "timestamp without time zone": Kind.TIMESTAMP,
    "timestamp with time zone": Kind.TIMESTAMP,
    '"char"': Kind.CHARACTERS,
    "name": Kind.CHARACTERS,
    "text": Kind.CHARACTERS,
    "character": Kind.CHARACTERS,
    "character varying": Kind.CHARACTERS,
}
_DELIMITERS = {"box": ";"}
# Base types of extensions; only a superuser makes base types.
_VECTORS = frozenset({"vector", "halfvec"})


def _builtin_types() -> Mapping[int, PostgresType]:
    found: dict[int, PostgresType] = {}
    for oid, array, name in BUILTIN_TYPES:
        delimiter = _DELIMITERS.get(name, ",")
        kind = _KINDS.get(name, Kind.OTHER)
        found[oid] = PostgresType(oid, name, kind, delimiter=delimiter)
        if array:
            found[array] = PostgresType(array, f"{name}[]", Kind.ARRAY, oid, delimiter)
    return MappingProxyType(found)


BUILTIN = _builtin_types()

# Every name is qualified, operators too: the session's search_path is the tenant's. Of a type
# come also its elements' type and its base type, and theirs.
DESCRIBE = """
WITH RECURSIVE needed (oid) AS (
    SELECT pg_catalog.unnest($1::pg_catalog.oid[])
    UNION
    SELECT other.oid
    FROM needed
    JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) needed.oid
    CROSS JOIN LATERAL (VALUES (type.typelem), (type.typbasetype)) AS other (oid)
    WHERE other.oid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
)
SELECT type.oid,
       pg_catalog.format_type(type.oid, NULL) AS name,
       type.typname,
       type.typtype,
       type.typcategory,
       type.typdelim,
       type.typbasetype,
       CASE WHEN element.typarray OPERATOR(pg_catalog.=) type.oid THEN element.oid END AS element
FROM needed
JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) needed.oid
LEFT JOIN pg_catalog.pg_type AS element ON element.oid OPERATOR(pg_catalog.=) type.typelem
"""


class TypeBook:
    """The types that one connection has met, by their oid.

    A type's oid, element and base never change; its name may, and is then shown as it was.
    """

    def __init__(self) -> None:
        self._learned: dict[int, PostgresType] = {}

    def __getitem__(self, oid: int) -> PostgresType:
        # The driver has codecs for types that are none, and so never asks for them.
        return BUILTIN.get(oid) or self._learned.get(oid) or PostgresType(oid, "???")

    def unknown(self, oids: Iterable[int]) -> list[int]:
        return [oid for oid in oids if oid not in BUILTIN and oid not in self._learned]

    def learn(self, oids: Iterable[int], rows: Iterable[Mapping[str, Any]]) -> None:
        """Write down the rows of DESCRIBE, whose values are text.

        One of the oids that has no row was dropped a moment ago: its values are text.
        """
        described = {int(row["oid"]): row for row in rows}
        for oid, row in described.items():
            self._learned[oid] = _type(oid, row["name"], described)
        for oid in oids:
            self._learned.setdefault(oid, PostgresType(oid, "???"))


def _type(oid: int, name: str, described: Mapping[int, Mapping[str, Any]]) -> PostgresType:
    known = BUILTIN.get(oid)
    if known is not None:
        return PostgresType(oid, name, known.kind, known.element, known.delimiter)
    row = described.get(oid)
    if row is None:
        return PostgresType(oid, name)
    if row["typtype"] == "d":
        return replace(_type(int(row["typbasetype"]), name, described), oid=oid)
    if row["element"] is not None:
        element = int(row["element"])
        return PostgresType(oid, name, Kind.ARRAY, element, row["typdelim"])
    kind = Kind.OTHER
    if row["typtype"] == "b" and row["typcategory"] == "S":
        kind = Kind.CHARACTERS
    elif row["typtype"] == "b" and row["typname"] in _VECTORS:
        kind = Kind.VECTOR
    return PostgresType(oid, name, kind, delimiter=row["typdelim"])
