from typing import Any, NamedTuple

from sqlalchemy import CursorResult, TextClause, text
from sqlmodel.ext.asyncio.session import AsyncSession

# A free number at random: workers of several control databases on one server then hardly
# ever share a number, and with it the names of roles made in the same millisecond.
_TAKE = text(
    """
    WITH free AS (
        SELECT instance, stamped_until FROM pgtwin.instance_lease
        WHERE expires_at <= clock_timestamp() AND stamped_until < :now
        ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE pgtwin.instance_lease AS lease
    SET holder = :holder, stamped_until = :until,
        expires_at = clock_timestamp() + make_interval(secs => :seconds)
    FROM free WHERE lease.instance = free.instance
    RETURNING lease.instance, free.stamped_until
    """
)
_RENEW = text(
    """
    UPDATE pgtwin.instance_lease
    SET expires_at = clock_timestamp() + make_interval(secs => :seconds),
        stamped_until = greatest(stamped_until, :until)
    WHERE instance = :instance AND holder = :holder AND expires_at > clock_timestamp()
    RETURNING stamped_until
    """
)
_GIVE_BACK = text(
    """
    UPDATE pgtwin.instance_lease
    SET holder = '', expires_at = clock_timestamp(), stamped_until = least(stamped_until, :until)
    WHERE instance = :instance AND holder = :holder
    """
)


class Taken(NamedTuple):
    """A number, and the Unix millisecond up to which ids with it may be stamped already."""

    instance: int
    after: int


class InstanceRepository:
    """The leases of instance numbers.

    Args of all:
        seconds: how long the lease lasts, by PostgreSQL's clock.
        now, until: Unix milliseconds of the holder's clock.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take(self, holder: str, seconds: float, *, now: int, until: int) -> Taken | None:
        """A number that is free, and was used before `now` only; None: there is none."""
        values = {"holder": holder, "seconds": seconds, "now": now, "until": until}
        row = (await self._run(_TAKE, values)).one_or_none()
        return Taken(row.instance, row.stamped_until) if row else None

    async def renew(self, instance: int, holder: str, seconds: float, *, until: int) -> int | None:
        """Until when ids may be stamped, where the lease was still ours and is prolonged."""
        values = {"holder": holder, "seconds": seconds, "instance": instance, "until": until}
        renewed: int | None = (await self._run(_RENEW, values)).scalar_one_or_none()
        return renewed

    async def give_back(self, instance: int, holder: str, *, until: int) -> None:
        """Free a number that no id after `until` was made with."""
        await self._run(_GIVE_BACK, {"instance": instance, "holder": holder, "until": until})

    async def _run(self, statement: TextClause, values: dict[str, Any]) -> CursorResult[Any]:
        return await (await self._session.connection()).execute(statement, values)
