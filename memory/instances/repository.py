from typing import Any

from sqlalchemy import CursorResult, TextClause, text
from sqlmodel.ext.asyncio.session import AsyncSession

from core.ids import INSTANCES

# A free number at random: workers of several control databases on one server then hardly
# ever share a number, and with it the names of roles made in the same millisecond.
_TAKE = text(
    """
    INSERT INTO pgtwin.instance_lease AS lease (instance, holder, expires_at)
    SELECT free, :holder, clock_timestamp() + make_interval(secs => :seconds)
    FROM generate_series(0, :instances - 1) AS free
    WHERE NOT EXISTS (SELECT FROM pgtwin.instance_lease AS taken
                      WHERE taken.instance = free AND taken.expires_at > clock_timestamp())
    ORDER BY random() LIMIT 1
    ON CONFLICT (instance) DO UPDATE
        SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE lease.expires_at <= clock_timestamp()
    RETURNING instance
    """
)
_RENEW = text(
    """
    UPDATE pgtwin.instance_lease
    SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
    WHERE instance = :instance AND holder = :holder AND expires_at > clock_timestamp()
    RETURNING instance
    """
)
_GIVE_BACK = text(
    "DELETE FROM pgtwin.instance_lease WHERE instance = :instance AND holder = :holder"
)


class InstanceRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take(self, holder: str, seconds: float) -> int | None:
        """A free instance number; None: all are taken, or another was quicker."""
        values = {"holder": holder, "seconds": seconds, "instances": INSTANCES}
        return (await self._run(_TAKE, values)).scalar_one_or_none()

    async def renew(self, instance: int, holder: str, seconds: float) -> bool:
        """Whether the lease was still ours and is prolonged."""
        values = {"holder": holder, "seconds": seconds, "instance": instance}
        return (await self._run(_RENEW, values)).scalar_one_or_none() is not None

    async def give_back(self, instance: int, holder: str) -> None:
        await self._run(_GIVE_BACK, {"instance": instance, "holder": holder})

    async def _run(self, statement: TextClause, values: dict[str, Any]) -> CursorResult[Any]:
        return await (await self._session.connection()).execute(statement, values)
