"""The control schema's migrations: up, down, at once, by hand, and equal to the models."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

import memory.tables  # noqa: F401  every model
import migrations
from core.postgres.engine import create_engine
from core.settings import Settings
from memory.control_schema import current_revision, migrate, migration_sql, newest_revision
from memory.records import ControlRow
from tests.conftest import control_database, with_database

HEAD = newest_revision()

# What makes a schema what it is, each part as (kind, text) rows.
COLUMNS = """
    SELECT 'column', concat_ws(' ', table_name, column_name, data_type, udt_name,
        character_maximum_length, is_nullable, 'default', column_default,
        is_identity, identity_generation, collation_name)
    FROM information_schema.columns WHERE table_schema = 'pgtwin'"""
INDEXES = "SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'pgtwin'"
CONSTRAINTS = """
    SELECT 'constraint', concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'pgtwin'::regnamespace"""
GRANTS = """
    SELECT 'grant', concat_ws(' ', relname, relkind, grantee::regrole, privilege_type)
    FROM pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
    WHERE relnamespace = 'pgtwin'::regnamespace AND relkind IN ('r', 'S')
    UNION ALL
    SELECT 'grant', concat_ws(' ', attrelid::regclass, attname, grantee::regrole, privilege_type)
    FROM pg_attribute, aclexplode(attacl) WHERE attrelid IN (
        SELECT oid FROM pg_class WHERE relnamespace = 'pgtwin'::regnamespace)"""
CODE = """
    SELECT 'function', concat_ws(' ', pg_get_functiondef(oid), proacl)
    FROM pg_proc WHERE pronamespace = 'pgtwin'::regnamespace
    UNION ALL
    SELECT 'trigger', pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
    WHERE relnamespace = 'pgtwin'::regnamespace AND NOT tgisinternal
    UNION ALL
    SELECT 'owner', concat_ws(' ', relname, relowner::regrole) FROM pg_class
    WHERE relnamespace = 'pgtwin'::regnamespace"""

Rows = set[tuple[str, str]]


class Control:
    """A control database: its owner's engine, and a superuser's look at it."""

    def __init__(self, settings: Settings, admin: Any) -> None:
        self.admin = admin
        self.owner_url = settings.owner_url.get_secret_value() if settings.owner_url else ""
        self.engine = create_engine(self.owner_url, settings)

    async def parts(self, *queries: str) -> Rows:
        rows = await self.admin.fetch(" UNION ALL ".join(queries))
        return {(row[0], row[1]) for row in rows}

    async def whole(self) -> Rows:
        return await self.parts(COLUMNS, INDEXES, CONSTRAINTS, GRANTS, CODE)

    async def by_hand(self, *scripts: str) -> None:
        """Run SQL as the owner, as psql does."""
        connection = await asyncpg.connect(self.owner_url)
        try:
            for script in scripts:
                await connection.execute(script)
        finally:
            await connection.close()


@asynccontextmanager
async def control(admin_url: str) -> AsyncIterator[Control]:
    async with control_database(admin_url) as settings:
        name = urlsplit(settings.dsn or "").path.lstrip("/")
        admin = await asyncpg.connect(with_database(admin_url, name))
        found = Control(settings, admin)
        try:
            yield found
        finally:
            await found.engine.dispose()
            await admin.close()


@pytest.fixture
async def migrated(admin_url: str) -> AsyncIterator[Control]:
    async with control(admin_url) as found:
        yield found


@pytest.fixture
async def empty(admin_url: str) -> AsyncIterator[Control]:
    """A prepared database that no migration ran on."""
    async with control(admin_url) as found:
        await migrate(found.engine, "base")
        await found.admin.execute("DROP TABLE pgtwin.alembic_version")
        assert await found.whole() == set()
        yield found


async def test_up_from_empty_down_to_base_and_up_again(empty: Control) -> None:
    assert await migrate(empty.engine) == (None, HEAD)
    first = await empty.whole()
    assert ("owner", "database_meta pgtwin_owner") in first
    assert await migrate(empty.engine) == (HEAD, HEAD)
    assert await migrate(empty.engine, "base") == (HEAD, None)
    left = {row for row in await empty.whole() if "alembic_version" not in row[1]}
    assert left == set()
    assert await migrate(empty.engine) == (None, HEAD)
    assert await empty.whole() == first


async def test_steps_are_relative(migrated: Control) -> None:
    assert (await migrate(migrated.engine, "-1"))[0] == HEAD
    assert (await migrate(migrated.engine, "+1"))[1] == HEAD
    assert await migrate(migrated.engine, HEAD) == (HEAD, HEAD)


async def test_of_several_at_once_one_migrates_and_the_others_find_it_done(
    empty: Control,
) -> None:
    moves = await asyncio.gather(*(migrate(empty.engine) for _ in range(4)))
    assert sorted(moves, key=str) == [(HEAD, HEAD)] * 3 + [(None, HEAD)]


async def test_autogenerate_finds_nothing(migrated: Control) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))

    def check(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.check(config)

    async with migrated.engine.connect() as connection:
        await connection.run_sync(check)


async def test_the_models_alone_make_the_same_tables(empty: Control, migrated: Control) -> None:
    """What autogenerate does not compare, too: check constraints, collations, conditions."""
    async with empty.engine.begin() as connection:
        await connection.run_sync(ControlRow.metadata.create_all)
    tables = (COLUMNS, INDEXES, CONSTRAINTS)
    by_migrations = {
        row for row in await migrated.parts(*tables) if "alembic_version" not in row[1]
    }
    assert await empty.parts(*tables) == by_migrations


async def test_the_printed_sql_does_by_hand_what_a_migration_does(
    empty: Control, migrated: Control
) -> None:
    await empty.by_hand(migration_sql())
    assert await empty.whole() == await migrated.whole()
    assert await current_revision(empty.engine) == HEAD
    assert await migrate(empty.engine) == (HEAD, HEAD)


@pytest.mark.parametrize("revision", ["nonesuch", "-99", "+99", "0001:nonesuch", ""])
async def test_an_unknown_revision_changes_nothing(migrated: Control, revision: str) -> None:
    before = await migrated.whole()
    with pytest.raises(CommandError) as caught:
        await migrate(migrated.engine, revision)
    assert len(str(caught.value).splitlines()) == 1
    assert await migrated.whole() == before
    assert await current_revision(migrated.engine) == HEAD


async def test_an_unknown_revision_has_no_sql() -> None:
    with pytest.raises(CommandError, match="nonesuch"):
        migration_sql("nonesuch")


async def test_a_failing_migration_leaves_nothing(empty: Control) -> None:
    await empty.by_hand("CREATE TABLE pgtwin.schema_meta (theirs int)")
    before = await empty.whole()
    with pytest.raises(ProgrammingError):
        await migrate(empty.engine)
    assert await empty.whole() == before
    await empty.by_hand("DROP TABLE pgtwin.schema_meta")
    assert await migrate(empty.engine) == (None, HEAD)


@pytest.mark.parametrize("table", ["database_meta", "schema_meta"])
async def test_postgresql_keeps_the_timestamps(migrated: Control, table: str) -> None:
    await migrated.by_hand(
        "INSERT INTO pgtwin.database_meta (id, uid, name, create_by, update_by)"
        " VALUES (2147483648, 'u', 'n', 'u', 'u')",
        "INSERT INTO pgtwin.schema_meta (id, database_id, env, schema_name, create_by, update_by)"
        " VALUES (1, 2147483648, 'prod', 's', 'u', 'u')",
    )
    stamps = f"SELECT create_at, update_at, now() AS now FROM pgtwin.{table}"
    made = await migrated.admin.fetchrow(stamps)
    assert made["create_at"] == made["update_at"] < made["now"]
    for change in ("update_by = 'v'", "update_by = 'w', update_at = '2001-01-01'"):
        before = await migrated.admin.fetchrow(stamps)
        await migrated.by_hand(f"UPDATE pgtwin.{table} SET {change}")
        after = await migrated.admin.fetchrow(stamps)
        assert after["create_at"] == made["create_at"]
        assert before["now"] < after["update_at"] < after["now"]
