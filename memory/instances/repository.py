from typing import NamedTuple

from core.postgres.engine import Session

# A free number at random: workers of several control databases on one server then hardly
# ever share a number, and with it the names of roles made in the same millisecond.
_TAKE = """
    WITH free AS (
        SELECT instance, stamped_until FROM pgtwin.instance_lease
        WHERE expires_at <= clock_timestamp() AND stamped_until < $3
        ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE pgtwin.instance_lease AS lease
    SET holder = $1, stamped_until = $4,
        expires_at = clock_timestamp() + make_interval(secs => $2)
    FROM free WHERE lease.instance = free.instance
    RETURNING lease.instance, free.stamped_until
"""
_RENEW = """
    UPDATE pgtwin.instance_lease
    SET expires_at = clock_timestamp() + make_interval(secs => $3),
        stamped_until = greatest(stamped_until, $4)
    WHERE instance = $1 AND holder = $2 AND expires_at > clock_timestamp()
    RETURNING stamped_until
"""
_GIVE_BACK = """
    UPDATE pgtwin.instance_lease
    SET holder = '', expires_at = clock_timestamp(), stamped_until = least(stamped_until, $3)
    WHERE instance = $1 AND holder = $2
"""


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

    def __init__(self, session: Session) -> None:
        self._session = session

    async def take(self, holder: str, seconds: float, *, now: int, until: int) -> Taken | None:
        """A number that is free, and was used before `now` only; None: there is none."""
        row = await self._session.fetchrow(_TAKE, holder, seconds, now, until)
        return Taken(row["instance"], row["stamped_until"]) if row else None

    async def renew(self, instance: int, holder: str, seconds: float, *, until: int) -> int | None:
        """Until when ids may be stamped, where the lease was still ours and is prolonged."""
        renewed: int | None = await self._session.fetchval(_RENEW, instance, holder, seconds, until)
        return renewed

    async def give_back(self, instance: int, holder: str, *, until: int) -> None:
        """Free a number that no id after `until` was made with."""
        await self._session.execute(_GIVE_BACK, instance, holder, until)
