from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.postgres.engine import Session

# Each row is one difference between the catalog and the control schema.
_DRIFT = r"""
    WITH live AS (
        -- What was dropped may be restored; and a large drop goes on after the database is gone
        -- for its user.
        SELECT id, owners_apart FROM pgtwin.database_meta AS m
        WHERE deleted_at IS NULL OR restorable_until IS NOT NULL
           OR EXISTS (SELECT FROM pgtwin.schema_meta WHERE database_id = m.id)
    ), expected_role AS (
        SELECT live.id, 'd' || live.id || suffix AS name
        FROM live, unnest(ARRAY['_prod', '_test', '_prod_app', '_test_app', '_ddl']) AS suffix
        UNION ALL
        SELECT live.id, 'd' || live.id || suffix
        FROM live, unnest(ARRAY['_prod_own', '_test_own']) AS suffix WHERE live.owners_apart
    ), found_role AS (
        SELECT oid, rolname, substring(rolname FROM '^d(\d{10,19})_')::numeric AS id
        FROM pg_roles WHERE rolname ~ '^d\d{10,19}_((prod|test)(_app|_own|_ro)?|ddl|c\d{10,19})$'
    ), elsewhere AS (
        -- Roles are shared by all databases of the server; these belong to another pgtwin.
        SELECT DISTINCT found_role.id FROM found_role
        JOIN pg_shdepend ON refclassid = 'pg_authid'::regclass AND refobjid = found_role.oid
        WHERE dbid NOT IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    )
    SELECT 'schema without rows' AS kind, nspname::text AS name, NULL::bigint AS database_id
    FROM pg_namespace
    WHERE nspname ~ '^(prod|test)_.*_\d{10,19}$'
      AND NOT EXISTS (SELECT FROM pgtwin.schema_meta WHERE schema_name = nspname)
    UNION ALL
    SELECT 'rows without schema', schema_name, database_id
    FROM pgtwin.schema_meta
    WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = schema_name)
    UNION ALL
    SELECT 'database without both schemas'' rows', live.id::text, live.id
    FROM live LEFT JOIN pgtwin.schema_meta s ON s.database_id = live.id
    GROUP BY live.id HAVING count(s.id) <> 2
    UNION ALL
    SELECT 'role without database', rolname::text, NULL
    FROM found_role
    WHERE NOT EXISTS (SELECT FROM live WHERE live.id = found_role.id)
      AND NOT EXISTS (SELECT FROM elsewhere WHERE elsewhere.id = found_role.id)
    UNION ALL
    SELECT 'database without role', expected_role.name, expected_role.id
    FROM expected_role
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = expected_role.name)
    UNION ALL
    -- Of a live database; one that was closed a moment ago is dropped by a worker.
    SELECT 'role without connection', rolname::text, found_role.id::bigint
    FROM found_role JOIN live ON live.id = found_role.id
    WHERE rolname ~ '_c\d+$'
      AND NOT EXISTS (SELECT FROM pgtwin.connection AS c WHERE c.status = 'active'
                      AND rolname = 'd' || c.database_id || '_c' || c.role_id)
      AND NOT EXISTS (SELECT FROM pgtwin.retired_role AS r
                      WHERE rolname = 'd' || r.database_id || '_c' || r.role_id)
    UNION ALL
    SELECT 'connection without role', 'd' || c.database_id || '_c' || c.role_id, c.database_id
    FROM pgtwin.connection c JOIN pgtwin.database_meta m ON m.id = c.database_id
    WHERE c.status = 'active' AND m.deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM pg_roles
                      WHERE rolname = 'd' || c.database_id || '_c' || c.role_id)
    UNION ALL
    -- As connections were made before owners were set apart, or by whoever granted it.
    SELECT 'login of both owners', 'd' || live.id || '_ddl', live.id
    FROM live
    WHERE (live.owners_apart
           OR EXISTS (SELECT FROM pgtwin.connection AS c
                      WHERE c.database_id = live.id AND c.mode = 'read_write'))
      AND (NOT live.owners_apart
           OR EXISTS (SELECT FROM pg_auth_members AS a JOIN pg_roles AS r ON r.oid = a.member
                      WHERE r.rolname = 'd' || live.id || '_ddl'))
    -- Schemas before roles: a grant on a schema keeps its role from being dropped.
    ORDER BY kind DESC, name
"""
_SERVER = """
    SELECT current_setting('server_version') AS version,
           current_setting('max_connections')::int AS max_connections,
           current_setting('superuser_reserved_connections')::int
           + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved,
           (SELECT coalesce(sum(c.connection_limit), 0)::int
            FROM pgtwin.connection c JOIN pgtwin.database_meta d ON d.id = c.database_id
            WHERE c.status = 'active' AND d.deleted_at IS NULL) AS given_out,
           current_setting('max_locks_per_transaction')::int AS max_locks,
           quote_ident(current_database()) AS database,
           has_database_privilege('public', current_database(), 'TEMP') AS temp_open,
           has_schema_privilege('public', 'public', 'USAGE') AS public_open,
           (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
            WHERE e.extname = 'vector') AS vector_schema,
           (SELECT o.rolsuper FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner
            WHERE p.oid = to_regprocedure('pgtwin_admin.drop_roles(bigint)')) AS functions_super,
           pgtwin_admin.version() AS preparation,
           has_function_privilege('public', 'pg_advisory_lock(bigint)', 'EXECUTE') AS unhardened,
           current_setting('max_prepared_transactions')::int AS prepared_transactions,
           ARRAY(SELECT quote_ident(datname) FROM pg_database
                 WHERE datname <> current_database() AND datallowconn
                   AND has_database_privilege('public', datname, 'CONNECT')
                 ORDER BY datname) AS open_databases
"""


# Still due, and for a reason that does not pass by itself.
_PUT_OFF = """
    SELECT d.id, r.reason FROM pgtwin.reaper_delay r
    JOIN pgtwin.database_meta d ON d.id = r.database_id
    WHERE (r.failures > 0 OR r.reason = 'protected')
      AND (d.deleted_at IS NULL AND d.expires_at <= now() OR d.restorable_until <= now())
    ORDER BY r.retry_at, d.id LIMIT 5
"""


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference between the catalog and the control schema."""

    kind: str
    name: str
    database_id: int | None


class DoctorRepository:
    """Reads the catalog beside the control schema; changes nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def server(self) -> dict[str, Any]:
        return dict(await self._session.fetchrow(_SERVER) or {})

    async def put_off(self) -> Sequence[tuple[int, str]]:
        """Databases that the reaper should have dropped, and why it did not."""
        return [(row["id"], row["reason"]) for row in await self._session.fetch(_PUT_OFF)]

    async def drift(self) -> Sequence[Drift]:
        return [Drift(**row) for row in await self._session.fetch(_DRIFT)]
