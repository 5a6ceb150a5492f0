from core.ids import INSTANCES
from core.postgres.engine import Session

# A free number at random: workers of several control databases on one server then hardly
# ever share a number, and with it the names of roles made in the same millisecond.
_TAKE = """
    INSERT INTO pgtwin.instance_lease AS lease (instance, holder, expires_at)
    SELECT free, $1, clock_timestamp() + make_interval(secs => $2)
    FROM generate_series(0, $3 - 1) AS free
    WHERE NOT EXISTS (SELECT FROM pgtwin.instance_lease AS taken
                      WHERE taken.instance = free AND taken.expires_at > clock_timestamp())
    ORDER BY random() LIMIT 1
    ON CONFLICT (instance) DO UPDATE
        SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE lease.expires_at <= clock_timestamp()
    RETURNING instance
"""
_RENEW = """
    UPDATE pgtwin.instance_lease
    SET expires_at = clock_timestamp() + make_interval(secs => $3)
    WHERE instance = $1 AND holder = $2 AND expires_at > clock_timestamp()
    RETURNING instance
"""
_GIVE_BACK = "DELETE FROM pgtwin.instance_lease WHERE instance = $1 AND holder = $2"


class InstanceRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def take(self, holder: str, seconds: float) -> int | None:
        """A free instance number; None: all are taken, or another was quicker."""
        taken: int | None = await self._session.fetchval(_TAKE, holder, seconds, INSTANCES)
        return taken

    async def renew(self, instance: int, holder: str, seconds: float) -> bool:
        """Whether the lease was still ours and is prolonged."""
        return await self._session.fetchval(_RENEW, instance, holder, seconds) is not None

    async def give_back(self, instance: int, holder: str) -> None:
        await self._session.execute(_GIVE_BACK, instance, holder)
