import asyncpg

from core.postgres.engine import Session

# Each part reads an index or a small table: live databases, those that can be restored, open
# operations, valid leases.
_COUNT = """
    SELECT 'databases' AS what, status AS state, '' AS kind, count(*) AS number
    FROM pgtwin.database_meta WHERE deleted_at IS NULL GROUP BY status
    UNION ALL
    SELECT 'databases', 'dropped', '', count(*)
    FROM pgtwin.database_meta WHERE restorable_until IS NOT NULL
    UNION ALL
    SELECT 'operations', state, kind, count(*) FROM pgtwin.operation
    WHERE state IN ('scheduling', 'running', 'cancelling') GROUP BY state, kind
    UNION ALL
    SELECT 'connections', '', c.mode, sum(c.connection_limit)
    FROM pgtwin.connection c JOIN pgtwin.database_meta d ON d.id = c.database_id
    WHERE c.status = 'active' AND d.deleted_at IS NULL GROUP BY c.mode
    UNION ALL
    SELECT 'leases', '', '', count(*) FROM pgtwin.instance_lease
    WHERE expires_at > clock_timestamp()
"""


class MonitoringRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def counts(self) -> list[asyncpg.Record]:
        """What there is: rows of what, state, kind and number."""
        return await self._session.fetch(_COUNT)

    async def ping(self) -> None:
        await self._session.fetchval("SELECT 1")
