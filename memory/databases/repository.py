from collections.abc import Collection, Mapping, Sequence
from typing import Any

import asyncpg
import orjson

from core.catalog.reader import QUERIES
from core.postgres.identifiers import Environment, RoleName, SchemaName, literal
from core.postgres.locks import Lock, hold
from memory.caller import ANY_SPACE
from memory.databases.models import (
    DatabaseEntry,
    DatabaseMeta,
    DatabaseStatus,
    LabelFilter,
    SchemaMeta,
)
from memory.databases.removal import DatabaseRemoval

_LIVE = f"deleted_at IS NULL AND status = '{DatabaseStatus.READY}'"
# The same of a row that is found by its id, in words that the partial index on live names does
# not answer: PostgreSQL, while it has no statistics, takes that index for as good as the primary
# key, and reads it from end to end.
_IS_LIVE = f"coalesce(deleted_at, 'infinity') = 'infinity' AND status = '{DatabaseStatus.READY}'"
# Dropped, and all there.
_IS_KEPT = "restorable_until > now()"
_NAMES = tuple(DatabaseMeta.model_fields)
_COLUMNS = ", ".join(_NAMES)
_SCHEMA_NAMES = tuple(SchemaMeta.model_fields)
_FIND = f"""
SELECT {_COLUMNS} FROM pgtwin.database_meta
WHERE id = $1 AND ({_IS_LIVE} OR $4 AND {_IS_KEPT})
  AND CASE WHEN $3 <> '' THEN space_id = $3 ELSE $2::text IS NULL OR uid = $2 END
"""
# Sizes are read through the catalog's own query, for the schemas that the rows name.
_WHOLE = f"""
SELECT {", ".join(f"d.{name}" for name in _NAMES)},
       {", ".join(f"s.{name} AS s_{name}" for name in _SCHEMA_NAMES)},
       coalesce(z.tables, 0) AS tables, coalesce(z.size_bytes, 0) AS size_bytes
FROM pgtwin.database_meta d
JOIN pgtwin.schema_meta s ON s.database_id = d.id
LEFT JOIN LATERAL (
    {QUERIES["schema_sizes"].replace(":schema_names", "ARRAY[s.schema_name::name]")}
) z ON true
WHERE d.id = $1 AND ({_IS_LIVE} OR $5 AND {_IS_KEPT})
  AND ($2::text IS NULL OR d.uid = $2 OR d.space_id = ANY ($3::text[])
       OR ($4 AND d.space_id <> ''))
ORDER BY s.env
"""


_ENTRY = f"""
SELECT d.uid, d.space_id, d.owners_apart, s.envs, s.schema_names,
       ARRAY(SELECT app_id FROM pgtwin.app_grant WHERE database_id = d.id) AS apps
FROM pgtwin.database_meta d,
LATERAL (SELECT array_agg(env::text) AS envs, array_agg(schema_name::text) AS schema_names
         FROM pgtwin.schema_meta WHERE database_id = d.id) s
WHERE d.id = $1 AND {_IS_LIVE}
  AND s.envs IS NOT NULL
"""
_INSERT = """
WITH made AS (
    INSERT INTO pgtwin.database_meta
        (id, uid, name, description, space_id, status, create_by, update_by,
         expires_at, labels, protected)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $12, $13::text::jsonb, $14)
    ON CONFLICT (uid, space_id, name) WHERE deleted_at IS NULL DO NOTHING
    RETURNING id
), schemas AS (
    INSERT INTO pgtwin.schema_meta (id, database_id, env, schema_name, create_by, update_by)
    SELECT s.id, made.id, s.env, s.schema_name, $7, $8
    FROM made, unnest($9::bigint[], $10::text[], $11::text[]) AS s (id, env, schema_name)
)
SELECT id FROM made
"""


class DatabaseRepository(DatabaseRemoval):
    """Rows of `database_meta` and `schema_meta`, and the schemas and roles they stand for."""

    async def insert(self, database: DatabaseMeta, schemas: Sequence[SchemaMeta]) -> bool:
        """Add a database with its schemas; False when its name is taken, by one being created
        too."""
        inserted = await self._session.fetchval(
            _INSERT,
            database.id,
            database.uid,
            database.name,
            database.description,
            database.space_id,
            str(database.status),
            database.create_by,
            database.update_by,
            [schema.id for schema in schemas],
            [schema.env.value for schema in schemas],
            [schema.schema_name for schema in schemas],
            database.expires_at,
            orjson.dumps(database.labels).decode(),
            database.protected,
        )
        return inserted is not None

    async def insert_schemas(self, schemas: Sequence[SchemaMeta]) -> None:
        await self._session.execute(
            "INSERT INTO pgtwin.schema_meta"
            " (id, database_id, env, schema_name, create_by, update_by)"
            " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[],"
            " $6::text[])",
            [schema.id for schema in schemas],
            [schema.database_id for schema in schemas],
            [schema.env.value for schema in schemas],
            [schema.schema_name for schema in schemas],
            [schema.create_by for schema in schemas],
            [schema.update_by for schema in schemas],
        )

    async def find(
        self,
        database_id: int,
        *,
        uid: str | None,
        space_id: str,
        lock: bool = False,
        or_dropped: bool = False,
    ) -> DatabaseMeta | None:
        """A live database of the space, or without a space of the uid; uid None: of anybody.

        Args:
            or_dropped: or one that was dropped and can be restored.
        """
        row = await self._session.fetchrow(
            _FIND + (" FOR UPDATE" if lock else ""),
            database_id,
            uid,
            space_id,
            or_dropped,
        )
        return DatabaseMeta.of(row) if row else None

    async def find_whole(
        self,
        database_id: int,
        *,
        uid: str | None,
        spaces: Collection[str],
        or_dropped: bool = False,
    ) -> Sequence[asyncpg.Record] | None:
        """A live database of the uid or of one of the spaces, a row for each of its schemas.

        The schema's own columns begin with `s_`; `tables` and `size_bytes` are its size.

        Args:
            uid: None: a database of anybody.
            or_dropped: or one that was dropped and can be restored.
        """
        rows = await self._session.fetch(
            _WHOLE, database_id, uid, list(spaces), ANY_SPACE in spaces, or_dropped
        )
        return rows or None

    async def entry(self, database_id: int) -> DatabaseEntry | None:
        """A live database of anybody's, with its schemas and the applications it is granted to."""
        row = await self._session.fetchrow(_ENTRY, database_id)
        if row is None:
            return None
        schemas = zip(row["envs"], row["schema_names"], strict=True)
        return DatabaseEntry(
            id=database_id,
            uid=row["uid"],
            space_id=row["space_id"],
            schemas={Environment(env): name for env, name in schemas},
            apps=frozenset(row["apps"]),
            owners_apart=row["owners_apart"],
        )

    async def grant_app(self, database_id: int, app_id: str, acting_uid: str) -> None:
        await self._session.execute(
            "INSERT INTO pgtwin.app_grant (database_id, app_id, create_by) VALUES ($1, $2, $3)"
            " ON CONFLICT DO NOTHING",
            database_id,
            app_id,
            acting_uid,
        )

    async def revoke_app(self, database_id: int, app_id: str) -> None:
        await self._session.execute(
            "DELETE FROM pgtwin.app_grant WHERE database_id = $1 AND app_id = $2",
            database_id,
            app_id,
        )

    async def page(
        self,
        *,
        visible_to: str | None,
        spaces: Collection[str],
        uid: str | None,
        space_id: str | None,
        name_prefix: str | None,
        labels: LabelFilter,
        or_dropped: bool,
        before: int | None,
        limit: int,
    ) -> Sequence[DatabaseMeta]:
        """Live databases, the newest first.

        Args:
            visible_to: only what this uid, or one of the spaces, owns; None: all.
            labels: only what carries all of them.
            or_dropped: and those that were dropped and can be restored.
            before: only ids below this one.
        """
        conditions = [f"({_LIVE} OR {_IS_KEPT})" if or_dropped else _LIVE]
        values = list[Any]()

        def require(condition: str, *given: Any) -> None:
            places = [f"${len(values) + 1 + place}" for place in range(len(given))]
            conditions.append(condition.format(*places))
            values.extend(given)

        if visible_to is not None and ANY_SPACE in spaces:
            require("(uid = {} OR space_id <> '')", visible_to)
        elif visible_to is not None and spaces:
            require("(uid = {} OR space_id = ANY ({}))", visible_to, list(spaces))
        elif visible_to is not None:
            require("uid = {}", visible_to)
        if uid is not None:
            require("uid = {}", uid)
        if space_id is not None:
            require("space_id = {}", space_id)
        if name_prefix:
            require("starts_with(name, {})", name_prefix)
        if labels:
            # As the partial index has it.
            require("labels <> '{{}}'::jsonb")
        for pair in labels.pairs:
            require("labels @> {}::text::jsonb", orjson.dumps(pair).decode())
        if labels.keys:
            require("labels ?& {}", labels.keys)
        if before is not None:
            require("id < {}", before)
        rows = await self._session.fetch(
            f"SELECT {_COLUMNS} FROM pgtwin.database_meta WHERE {' AND '.join(conditions)}"
            f" ORDER BY id DESC LIMIT {int(limit)}",
            *values,
        )
        return [DatabaseMeta.of(row) for row in rows]

    async def space_owner(self, space_id: str, *, lock: bool = False) -> str | None:
        """The uid that owns the space's databases; None: it has none.

        Args:
            lock: keep others from giving an empty space an owner until the transaction ends.
        """
        if lock:
            await hold(self._session, Lock.SPACE, space_id)
        owner: str | None = await self._session.fetchval(
            f"SELECT uid FROM pgtwin.database_meta WHERE space_id = $1 AND {_LIVE}"
            " ORDER BY id LIMIT 1",
            space_id,
        )
        return owner

    async def set_description(
        self, database: DatabaseMeta, description: str | None, acting_uid: str
    ) -> None:
        await self._session.execute(
            "UPDATE pgtwin.database_meta SET description = $2, update_by = $3 WHERE id = $1",
            database.id,
            description,
            acting_uid,
        )

    async def add_ticket(
        self,
        ticket_id: int,
        digest: bytes,
        source_id: int,
        target_id: int,
        names: Mapping[Environment, tuple[str, str]],
    ) -> None:
        """Let the target's login copy the source's schemas, once."""
        await self._session.execute(
            "INSERT INTO pgtwin_admin.copy_ticket (id, digest, source_id, target_id,"
            " environments, source_schemas, target_schemas) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            ticket_id,
            digest,
            source_id,
            target_id,
            [environment.value for environment in names],
            [source for source, _ in names.values()],
            [target for _, target in names.values()],
        )

    async def make_readers(
        self, source_id: int, target_id: int, names: Mapping[Environment, tuple[str, str]]
    ) -> None:
        """Make the readers of a copy where its source has them: what they may read comes along."""
        for environment, (_, target) in names.items():
            await self._session.execute(
                "SELECT pgtwin_admin.create_reader($2, $3, $4) FROM pg_roles WHERE rolname = $1",
                RoleName.reader(environment, source_id).name,
                target_id,
                environment.value,
                target,
            )

    async def is_copied(self, ticket_id: int) -> bool:
        """Whether the copy that the ticket was for is there, whole."""
        return bool(
            await self._session.fetchval(
                "SELECT done_at IS NOT NULL FROM pgtwin_admin.copy_ticket WHERE id = $1", ticket_id
            )
        )

    async def publish(self, database_id: int, ticket_id: int) -> None:
        """Make a finished copy visible."""
        await self._session.execute(
            "UPDATE pgtwin.database_meta SET status = $2 WHERE id = $1",
            database_id,
            DatabaseStatus.READY.value,
        )
        await self._end_ticket(ticket_id)

    async def discard(self, database_id: int, ticket_id: int, acting_uid: str) -> None:
        """Remove a copy that was not finished; its name is free again."""
        names = [SchemaName(each.schema_name) for each in await self.schemas(database_id)]
        await self.drop_schemas(database_id, names)
        await self.bury(database_id, acting_uid)
        await self._end_ticket(ticket_id)

    async def forsake(self, database_id: int, ticket_id: int, acting_uid: str) -> None:
        """Decide that a copy is removed, whatever its session still does; the rest follows."""
        await self.bury_name(database_id, acting_uid)
        await self._end_ticket(ticket_id)

    async def _end_ticket(self, ticket_id: int) -> None:
        await self._session.execute("DELETE FROM pgtwin_admin.copy_ticket WHERE id = $1", ticket_id)

    async def make_schemas(
        self,
        database_id: int,
        names: dict[Environment, SchemaName],
        verifiers: Mapping[RoleName, str],
    ) -> None:
        """Make the roles, the schemas and their grants, in one message.

        Args:
            verifiers: the SCRAM verifier of each login.
        """
        logins = [RoleName.app(environment, database_id) for environment in Environment]
        logins.append(RoleName.ddl(database_id))
        arguments = ", ".join(literal(verifiers[login]) for login in logins)
        statements = [f"SELECT pgtwin_admin.create_roles({database_id}, {arguments})"]
        for environment, name in names.items():
            owner = RoleName.owner(environment, database_id)
            statements += [
                f"CREATE SCHEMA IF NOT EXISTS {name}",
                f"GRANT USAGE, CREATE ON SCHEMA {name} TO {owner}",
                f"GRANT USAGE ON SCHEMA {name} TO {RoleName.app(environment, database_id)}",
            ]
        await self._send(statements)

    async def separate_owners(self, database_id: int, verifiers: Mapping[RoleName, str]) -> None:
        """Take away the one login that may become both owners, and make one for each.

        Args:
            verifiers: the SCRAM verifier of each of the new logins.
        """
        given = [verifiers[RoleName.own(each, database_id)] for each in Environment]
        await self._session.execute(
            "SELECT pgtwin_admin.separate_owners($1, $2, $3)", database_id, *given
        )
        await self._session.execute(
            "UPDATE pgtwin.database_meta SET owners_apart = true WHERE id = $1", database_id
        )

    async def has_owners_apart(self, database_id: int) -> bool:
        """Also of a database that was dropped."""
        return bool(
            await self._session.fetchval(
                "SELECT owners_apart FROM pgtwin.database_meta WHERE id = $1", database_id
            )
        )
