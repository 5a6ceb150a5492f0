"""End users' rows that the owner may copy: where nothing but the stamp would look at them.

COPY is refused under row security, and the stamp's trigger costs a row several times what the row
does. So where a table has the policy and the trigger that admission made, and nothing else that
could tell the end user from the owner, the owner copies the rows, and the service fills in what the
trigger would.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.catalog.reader import numbered
from core.postgres.arrays import parse_array
from core.postgres.identifiers import RoleName
from core.postgres.tenant_connection import TenantConnection
from core.sqlguard.plain import is_plain
from memory.statements.directory import SEPARATOR, EndUser
from memory.statements.place import Place
from memory.transfer.upload_plan import Table

_POLICY = "pgtwin_rows * t {{{app}}} ({uid} = ANY ({rows})) ({uid} = ANY ({rows}))"
_ROWS = "( SELECT pgtwin_rt.ctx() AS ctx)::text[]"
# A row before each INSERT or UPDATE, for whoever has a context.
_TRIGGER = (
    "pgtwin_stamp O 23 pgtwin_rt.stamp 0  (current_setting('pgtwin.ctx'::text, true) <> ''::text)"
)
# As pgtwin_rt.row_id() makes them: milliseconds since 2024, and 22 bits of a sequence.
_NUMBERS = (
    "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()),"
    " pg_catalog.array_agg(pg_catalog.nextval('pgtwin_rt.row_number'::pg_catalog.regclass))"
    " FROM pg_catalog.generate_series(1, $1::pg_catalog.int4)"
)
_EPOCH_MILLISECONDS, _NUMBER_BITS = 1_704_067_200_000, 22


@dataclass(frozen=True, slots=True)
class Stamps:
    """What the service fills in.

    Attributes:
        constants: columns that have the same in each row, by their names.
        has_ids: each row gets an id.
    """

    constants: Sequence[tuple[str, str]]
    has_ids: bool


async def stamps_of(
    session: TenantConnection, place: Place, table: Table, user: EndUser
) -> Stamps | None:
    """What to fill in where the owner copies the user's rows; None: he may not.

    The table stays as it is until the transaction ends.

    Args:
        place: the owner's, who acts in the session.
    """
    await session.execute(
        f"LOCK TABLE {table.place} IN ROW EXCLUSIVE MODE; SET LOCAL search_path = ''"
    )
    query, names = numbered("copied_for_end_users")
    app = RoleName.app(place.environment, place.database.id).name
    given = {"app": app, "schema": place.schema.name, "table_name": table.name}
    found = await session.run(query, [given[name] for name in names])
    await session.execute(f"SET LOCAL search_path = {place.schema}, pgtwin_ext")
    if not found.rows:
        return None
    is_known, *arrays, now = found.rows[0]
    policies, triggers, arguments, expressions = (_array(text) for text in arrays)
    known = {_POLICY.format(app=app, uid=uid, rows=_ROWS) for uid in ("uid", "(uid)::text")}
    if is_known != "t" or triggers != [_TRIGGER] or len(policies) != 1 or policies[0] not in known:
        return None
    if not all(is_plain(expression or "") for expression in expressions):
        return None
    return _stamps(table, user, arguments[0], now or "")


def _stamps(table: Table, user: EndUser, arguments: Sequence[str], now: str) -> Stamps | None:
    room, *stamped = arguments
    wanted = {column.name for column in table.columns.values() if column.is_stamped} - {"uid"}
    own = f"{user.app_id}{SEPARATOR}{user.uid}" if user.app_id else user.uid
    is_too_long = 0 < int(room) < len(own)
    if set(stamped) != wanted or is_too_long or (table.has_id and "id" not in wanted):
        return None
    times = [(name, now) for name in stamped if name != "id"]
    return Stamps([("uid", own), *times], "id" in wanted)


async def new_ids(session: TenantConnection, number: int) -> list[str]:
    """Ids of as many rows, as the stamp would make them."""
    found = await session.run(_NUMBERS, [number])
    seconds, numbers = found.rows[0]
    begin = (int(float(seconds or 0) * 1000) - _EPOCH_MILLISECONDS) << _NUMBER_BITS
    return [str(begin | int(each)) for each in _array(numbers)]


def _array(text: str | None) -> list[Any]:
    return parse_array(text or "{}", ",", None)
