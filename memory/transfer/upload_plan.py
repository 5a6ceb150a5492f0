"""Which columns of a file go where, and the statements that take them there."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from core.catalog.reader import numbered
from core.errors import InvalidRequest
from core.postgres.identifiers import Identifier, SchemaName
from core.postgres.tenant_connection import TenantConnection
from core.transfer.readers_errors import FileUnreadable
from core.transfer.readers_records import shown
from memory.statements.errors import UnknownTable
from memory.statements.place import Place
from memory.transfer.upload_schemas import Mode

SHOWN_NAMES = 5
TABLES = ("r", "p")


@dataclass(frozen=True, slots=True)
class TableColumn:
    """
    Attributes:
        base: its type without domains, as SQL.
        is_plain: arrays of the type can be taken apart again.
        is_stamped: end users' values are the service's.
    """

    name: str
    type_oid: int
    base: str
    is_plain: bool
    is_text: bool
    is_generated: bool
    is_identity: bool
    has_default: bool
    is_stamped: bool

    @property
    def quoted(self) -> str:
        return str(Identifier(self.name))


@dataclass(frozen=True, slots=True)
class Table:
    """
    Attributes:
        is_forced: row security binds its owner too.
    """

    schema: SchemaName
    name: str
    is_forced: bool
    columns: dict[str, TableColumn]

    @property
    def place(self) -> str:
        return f"{self.schema}.{Identifier(self.name)}"

    @property
    def has_id(self) -> bool:
        return "id" in self.columns


async def find_table(session: TenantConnection, place: Place, name: str) -> Table:
    """
    Raises:
        UnknownTable, InvalidRequest
        InsufficientPrivilegeError: end users can't fill it, or not yet.
    """
    query, names = numbered("columns_to_fill")
    given = {"schema": place.schema.name, "table_name": name}
    found = await session.run(query, [given[each] for each in names])
    if not found.rows:
        raise UnknownTable(f'relation "{shown(name)}" does not exist')
    kind, forced = found.rows[0][:2]
    if kind not in TABLES:
        message = f'"{shown(name)}" is no table; rows are uploaded into tables'
        raise InvalidRequest.of("table_name", message)
    rows = [row for row in found.rows if row[2] is not None]
    if any(row[-1] != "t" for row in rows):
        raise asyncpg.InsufficientPrivilegeError(f"permission denied for table {name}")
    columns = [
        TableColumn(
            row[2] or "", int(row[3] or 0), row[4] or "", *(cell == "t" for cell in row[5:-1])
        )
        for row in rows
    ]
    return Table(place.schema, name, forced == "t", {column.name: column for column in columns})


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Attributes:
        columns: those of the table that the file fills.
        sources: the place of each in the file's rows.
        width: how many values a row of the file has.
        constants: columns that the service fills with the same in each row.
        has_ids: it fills `id` too, with another in each row.
    """

    table: Table
    mode: Mode
    columns: Sequence[TableColumn]
    sources: Sequence[int]
    width: int
    key: Sequence[TableColumn]
    constants: Sequence[tuple[str, str]] = ()
    has_ids: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the rows go in as they are in the file."""
        return list(self.sources) == list(range(self.width))

    @property
    def names(self) -> str:
        names = [column.quoted for column in self.columns]
        names += [str(Identifier(name)) for name, _ in self.constants]
        return ", ".join([*names, '"id"'] if self.has_ids else names)


def planned(
    table: Table, names: Sequence[str], mode: Mode, key: Sequence[str], place: Place, uid: str
) -> Plan:
    """
    Args:
        names: the file's columns.
        place: whose rows they are.
        uid: whose rows an owner's are where he says nothing.

    Raises:
        FileUnreadable, InvalidRequest
    """
    _check_names(table, names)
    keys = _keys(table, names, mode, key, is_end_user=place.end_user is not None)
    used = [
        (index, column)
        for index, column in enumerate(table.columns[name] for name in names)
        if not _is_discarded(column, mode, keys, is_end_user=place.end_user is not None)
    ]
    if not used or (mode is Mode.UPDATE and len(used) == len(keys)):
        raise FileUnreadable("The file has no column that an upload may fill")
    own = table.columns.get("uid")
    wants_uid = own is not None and own.is_stamped and not own.has_default and "uid" not in names
    fills = wants_uid and place.end_user is None and mode is not Mode.UPDATE
    return Plan(
        table,
        mode,
        [column for _, column in used],
        [index for index, _ in used],
        len(names),
        keys,
        [("uid", uid)] if fills else [],
    )


def _is_discarded(
    column: TableColumn, mode: Mode, keys: Sequence[TableColumn], *, is_end_user: bool
) -> bool:
    """Whether the values of a column are others' to make."""
    if column.is_generated:
        return True
    if mode is Mode.UPDATE and column in keys:
        return False
    return is_end_user and (column.is_stamped or column.is_identity)


def _check_names(table: Table, names: Sequence[str]) -> None:
    if any(not name for name in names):
        at = next(index for index, name in enumerate(names, 1) if not name)
        raise FileUnreadable(f"The column {at} of the file has no name")
    twice = (
        [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if len(set(names)) < len(names)
        else []
    )
    if twice:
        raise FileUnreadable(f"The file has columns more than once: {_listed(twice)}")
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise FileUnreadable(
            f'The table "{shown(table.name)}" does not have the columns {_listed(unknown)}'
        )


def _keys(
    table: Table, names: Sequence[str], mode: Mode, key: Sequence[str], *, is_end_user: bool
) -> list[TableColumn]:
    if (mode is Mode.INSERT) == bool(key):
        raise _refused_key("is for update and upsert" if key else f"required for {mode}")
    for name in key:
        column = table.columns.get(name)
        if column is None:
            raise _refused_key(f'the table has no column "{shown(name)}"')
        made = mode is Mode.UPSERT and is_end_user and column.is_stamped
        if made and name != "uid":
            raise _refused_key(f'"{name}" of new rows is made by the service; use mode=update')
        if name not in names and not made:
            raise _refused_key(f'the file has no column "{shown(name)}"')
    return [table.columns[name] for name in dict.fromkeys(key)]


def _refused_key(message: str) -> InvalidRequest:
    return InvalidRequest.of("key", message)


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(f'"{shown(name)}"' for name in names[:SHOWN_NAMES])
    rest = len(names) - SHOWN_NAMES
    return f"{listed} and {rest} more" if rest > 0 else listed


def copying(plan: Plan, form: str) -> str:
    """The COPY that takes rows.

    Args:
        form: its options.
    """
    return f"COPY {plan.table.place} ({plan.names}) FROM STDIN WITH ({form})"


def csv_form(plan: Plan, delimiter: str) -> str:
    """CSV where an empty value in quotes is NULL too, but for text."""
    forced = ", ".join(column.quoted for column in plan.columns if not column.is_text)
    mark = "E'\\t'" if delimiter == "\t" else f"'{delimiter}'"
    form = f"FORMAT csv, ENCODING 'UTF8', DELIMITER {mark}"
    return f"{form}, FORCE_NULL ({forced})" if forced else form


TEXT_FORM = "FORMAT text, ENCODING 'UTF8'"


def changing(plan: Plan) -> str:
    """The statement that takes columns, an array each: ids and the rows' numbers come back."""
    arrays, values = [], []
    for number, column in enumerate(plan.columns, 1):
        arrays.append(
            f"pg_catalog.unnest(${number}::{column.base if column.is_plain else 'text'}[])"
        )
        values.append(f"f.c{number}" if column.is_plain else f"f.c{number}::{column.base}")
    for number in range(len(arrays) + 1, len(arrays) + 1 + len(plan.constants)):
        arrays.append(f"pg_catalog.unnest(${number}::text[])")
        values.append(f"f.c{number}")
    names = ", ".join(f"c{number}" for number in range(1, len(arrays) + 1))
    rows = f"ROWS FROM ({', '.join(arrays)}) WITH ORDINALITY AS f ({names}, n)"
    given = 'pg_catalog.to_jsonb(t."id")' if plan.table.has_id else "NULL::jsonb"
    if plan.mode is Mode.UPDATE:
        pairs = list(zip(plan.columns, values, strict=True))
        set_ = ", ".join(f"{c.quoted} = {value}" for c, value in pairs if c not in plan.key)
        where = " AND ".join(f"t.{c.quoted} = {value}" for c, value in pairs if c in plan.key)
        return (
            f"UPDATE {plan.table.place} AS t SET {set_} FROM {rows} WHERE {where}"
            f" RETURNING {given}, f.n"
        )
    overriding = " OVERRIDING SYSTEM VALUE" if any(c.is_identity for c in plan.columns) else ""
    return (
        f"INSERT INTO {plan.table.place} AS t ({plan.names}){overriding}"
        f" SELECT {', '.join(values)} FROM {rows} ORDER BY f.n{_on_conflict(plan)}"
        f" RETURNING {given}"
    )


def _on_conflict(plan: Plan) -> str:
    if plan.mode is not Mode.UPSERT:
        return ""
    target = ", ".join(column.quoted for column in plan.key)
    set_ = ", ".join(f"{c.quoted} = EXCLUDED.{c.quoted}" for c in plan.columns if c not in plan.key)
    return f" ON CONFLICT ({target}) DO " + (f"UPDATE SET {set_}" if set_ else "NOTHING")
