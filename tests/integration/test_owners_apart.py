"""What is planted in one environment and run by the owner's calls reaches nothing of the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from core.postgres.context import answer_token, becoming_lent
from core.postgres.identifiers import Environment, RoleName
from core.postgres.passwords import context_key, derive
from core.postgres.preparation import login_url
from memory.databases.repairs import verifiers
from tests.conftest import MASTER_SECRET
from tests.places import Place, logged_in, schema
from tests.sql import Twin

MADE = "CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE secret (word text)"
# Tries all ways to become the owner of the other environment, to read there and to write.
REACH = """
CREATE TABLE loot (word text);
CREATE FUNCTION reach() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $f$
DECLARE
    way text;
    words text := '';
BEGIN
    FOREACH way IN ARRAY ARRAY[
        'SELECT 1',
        'SET ROLE {owner}',
        'SET LOCAL ROLE {owner}',
        'SELECT set_config(''role'', ''{owner}'', false)',
        'RESET ROLE',
        'SET ROLE {own}',
        'SET ROLE {ddl}; SET ROLE {owner}',
        'RESET ROLE; SET ROLE {owner}',
        'SET SESSION AUTHORIZATION {owner}',
        'RESET SESSION AUTHORIZATION; SET ROLE {owner}',
        'SELECT pgtwin_rt.lend_owner(''0'', ''{env}''); SET ROLE {owner}',
        'SELECT pgtwin_rt.lend_owner((regexp_match(current_query(),'
            ' ''lend_owner\\(''''(\\w+)''))[1], ''{env}''); SET ROLE {owner}',
        'GRANT {owner} TO CURRENT_USER; SET ROLE {owner}',
        'ALTER FUNCTION reach() OWNER TO {owner}'
    ] LOOP
        BEGIN
            EXECUTE way;
            EXECUTE 'SELECT string_agg(word, '','') FROM {schema}.secret' INTO words;
            EXECUTE 'INSERT INTO {schema}.secret VALUES (''stolen by ' || session_user || ''')';
        EXCEPTION WHEN OTHERS THEN
        END;
    END LOOP;
    IF words <> '' THEN
        BEGIN
            EXECUTE 'SET ROLE {mine}';
            EXECUTE 'INSERT INTO {my_schema}.loot VALUES ($1)' USING words;
        EXCEPTION WHEN OTHERS THEN
        END;
    END IF;
    RETURN true;
END $f$;
CREATE FUNCTION on_row() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    PERFORM {my_schema}.reach();
    RETURN NEW;
END $f$;
"""
# What makes the owner's call run the function, and the calls that do.
PLANTS = {
    "trigger": "CREATE TRIGGER z BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION on_row()",
    "deferred": "CREATE CONSTRAINT TRIGGER z AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION on_row()",
    "check": "ALTER TABLE t ADD CHECK (reach())",
    "domain": "CREATE DOMAIN d AS int CHECK (reach()); ALTER TABLE t ALTER COLUMN n TYPE d",
    "default": "ALTER TABLE t ADD COLUMN m boolean DEFAULT reach()",
    "view": "CREATE VIEW v AS SELECT reach() AS m",
    # Put off until the end of the transaction that alters the table.
    "late": "CREATE CONSTRAINT TRIGGER z AFTER INSERT ON loot DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION on_row();"
    " CREATE FUNCTION later() RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN"
    " INSERT INTO {my_schema}.loot VALUES (NULL); RETURN true; END $f$;"
    " ALTER TABLE t ADD CHECK (later())",
}
OTHER = {"prod": "test", "test": "prod"}


def planted(twin: Twin, env: str, what: str) -> str:
    other = Environment(OTHER[env])
    names = {
        "owner": RoleName.owner(other, twin.id),
        "own": RoleName.own(other, twin.id),
        "ddl": RoleName.ddl(twin.id),
        "mine": RoleName.owner(Environment(env), twin.id),
        "schema": schema(twin, OTHER[env]),
        "my_schema": schema(twin, env),
        "env": other.value,
    }
    text = REACH + PLANTS[what]
    for name, value in names.items():
        text = text.replace("{" + name + "}", str(value))
    return text


async def with_secrets(place: Place, uid: str) -> Twin:
    twin = await place.twin(uid)
    await twin.make(MADE)
    for env in OTHER:
        await twin.rows("INSERT INTO secret VALUES ('the word')", env=env)
        await twin.rows("INSERT INTO t VALUES (1, 1)", env=env)
    return twin


async def calls(twin: Twin, env: str) -> None:
    """Each kind of call of the owner's; what they answer is not the point."""
    await twin.dml("INSERT INTO t (id, n) VALUES (2, 2)", env=env)
    await twin.dml("INSERT INTO t (id, n) VALUES (3, 3)", env=env, dry_run=True)
    await twin.dml("SELECT * FROM v", env=env)
    await twin.ddl("ALTER TABLE t ALTER COLUMN n TYPE bigint", env=env)
    await twin.ddl("ALTER TABLE t ALTER COLUMN n TYPE numeric", env="both")
    await twin.ddl("ALTER TABLE t ALTER COLUMN n TYPE real", env="both", dry_run=True)
    await twin.ddl("ALTER TABLE t ADD COLUMN uid varchar(64)", env="both")
    fields = {"database_id": str(twin.id), "uid": twin.uid, "env": env, "table_name": "t"}
    file = {"file": ("t.csv", b"id,n\n4,4\n", "text/csv")}
    await twin.api.client.post("/v1/upload_data", data=fields, files=file)
    body = {"database_id": twin.id, "uid": twin.uid, "env": env, "format": "csv"}
    await twin.api.client.post("/v1/export_data", json={**body, "query": "SELECT * FROM v"})
    for what in ("schema", "ddl", "stats"):
        await twin.api.get(f"databases/{twin.id}/{what}", uid=twin.uid, env=env)


async def words(place: Place, twin: Twin, env: str, table: str) -> list[str]:
    rows = await place.admin.fetch(f"SELECT word FROM {schema(twin, env)}.{table}")
    return [row["word"] for row in rows if row["word"] is not None]


@pytest.mark.parametrize("what", PLANTS)
@pytest.mark.parametrize("env", OTHER)
async def test_code_that_a_connection_planted_reaches_one_environment(
    place: Place, uid: str, env: str, what: str
) -> None:
    twin = await with_secrets(place, uid)
    async with logged_in(await place.uri(twin, env)) as connection:
        await connection.execute(planted(twin, env, what))
    await calls(twin, env)
    assert await words(place, twin, OTHER[env], "secret") == ["the word"]
    assert await words(place, twin, env, "loot") == []
    # The rows of its own environment, which its owner wrote.
    assert await place.admin.fetchval(f"SELECT count(*) FROM {schema(twin, env)}.t") > 1


@pytest.mark.parametrize("what", ["trigger", "check"])
async def test_the_attack_would_work_in_a_session_that_may_become_both(
    place: Place, uid: str, what: str
) -> None:
    twin = await with_secrets(place, uid)
    owner = RoleName.owner(Environment.TEST, twin.id)
    await place.admin.execute(f"SET search_path = {schema(twin, 'test')}; SET ROLE {owner}")
    await place.admin.execute(planted(twin, "test", what))
    await place.admin.execute("RESET ROLE; RESET search_path")
    await twin.rows("INSERT INTO t (id, n) VALUES (2, 2)", env="test")
    assert len(await words(place, twin, "prod", "secret")) > 1


async def test_no_login_may_become_both_owners(place: Place, uid: str) -> None:
    members = (
        "SELECT m.member::regrole::text, m.roleid::regrole::text FROM pg_auth_members m"
        " WHERE m.roleid::regrole::text ~ $1 AND m.member::regrole::text <> 'pgtwin_roles'"
    )
    twin = await place.twin(uid)
    await place.reader(twin, "test")
    found = {tuple(row) for row in await place.admin.fetch(members, f"^d{twin.id}_(prod|test)$")}
    both = RoleName.ddl(twin.id).name
    assert {owner for login, owner in found if login == both} == {
        RoleName.owner(each, twin.id).name for each in Environment
    }
    made = await place.connection(twin, "test")
    await place.connection(twin, "prod")
    await twin.make("CREATE TABLE a (n int)")
    found = {tuple(row) for row in await place.admin.fetch(members, f"^d{twin.id}_(prod|test)$")}
    by_login: dict[str, set[str]] = {}
    for login, owner in found:
        by_login.setdefault(login, set()).add(owner)
    assert all(len(owners) == 1 for owners in by_login.values())
    assert both not in by_login
    assert await place.differences() == []
    # A rotation and a repair leave it so.
    body = {"connection_id": made["connection_id"], "uid": uid}
    assert (await place.api.post("rotate_connection", body)).code == 0
    await place.admin.execute(f"DROP ROLE {RoleName.own(Environment.PROD, twin.id)}")
    [(kind, _)] = await place.differences()
    assert kind == "database without role"
    await place.repair()
    assert await place.differences() == []
    assert (await twin.ddl("CREATE TABLE b (n int)")).code == 0
    assert await twin.rows("SELECT n FROM b") == []
    dropped = await place.api.post("drop_database", database_id=twin.id, uid=uid)
    assert dropped.code == 0
    assert not await place.admin.fetch(
        "SELECT FROM pg_roles WHERE rolname LIKE $1", f"d{twin.id}\\_%"
    )


async def test_owners_of_a_database_with_older_connections_are_set_apart_by_a_repair(
    place: Place, uid: str
) -> None:
    twin = await with_secrets(place, uid)
    await place.connection(twin, "test")
    both = RoleName.ddl(twin.id)
    # As it was made before.
    logins = verifiers(MASTER_SECRET, twin.id)
    order = [*(RoleName.app(each, twin.id) for each in Environment), both]
    await place.services.database.transaction(
        lambda session: session.execute(
            "SELECT pgtwin_admin.create_roles($1, $2, $3, $4)",
            twin.id,
            *(logins[login] for login in order),
        )
    )
    await place.admin.execute(
        f"UPDATE pgtwin.database_meta SET owners_apart = false WHERE id = {twin.id}"
    )
    assert await place.differences() == [("login of both owners", both.name)]
    await place.repair()
    assert await place.differences() == []
    assert (await twin.ddl("CREATE TABLE b (n int)")).code == 0


async def test_ddl_in_both_is_still_all_or_nothing(place: Place, uid: str) -> None:
    twin = await with_secrets(place, uid)
    async with logged_in(await place.uri(twin, "test")) as connection:
        await connection.execute("CREATE TABLE only_here (n int)")
    failed = await twin.ddl("CREATE TABLE a (n int); CREATE TABLE only_here (n int)")
    assert (failed.code, failed.error["sqlstate"]) == (25041, "42P07")
    assert failed.error["details"][0]["statement"] == 2
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = 'a'"
    for env in OTHER:
        assert await place.admin.fetchval(tables, schema(twin, env).name) == 0
    await twin.make("CREATE TABLE a (id bigint PRIMARY KEY, uid varchar(64), n int)")
    plan = await twin.ddl("DROP TABLE a", dry_run=True)
    assert plan.code == 0
    assert {each["env"] for each in plan.data["changes"]} == {"prod", "test"}
    for env in OTHER:
        assert await twin.rows("SELECT * FROM a", env=env) == []
        assert (
            await twin.rows("SELECT * FROM a", env=env, **{"as": "end_user", "app_id": "x"}) == []
        )


async def test_an_answer_is_kept_for_its_key(place: Place, uid: str) -> None:
    twin = await with_secrets(place, uid)
    await place.connection(twin, "prod")
    body = {"database_id": twin.id, "uid": uid, "ddl": "CREATE TABLE once (n int)"}
    headers = {"Idempotency-Key": f"{uid}-once"}
    first = await place.api.client.post("/v1/exec_ddl", json=body, headers=headers)
    again = await place.api.client.post("/v1/exec_ddl", json=body, headers=headers)
    assert first.json()["code"] == again.json()["code"] == 0


async def test_twenty_calls_about_both_at_once(place: Place, uid: str) -> None:
    twin = await with_secrets(place, uid)
    await place.connection(twin, "prod")
    done = await asyncio.gather(*(twin.ddl(f"CREATE TABLE t{n} (n int)") for n in range(20)))
    assert [each.code for each in done] == [0] * 20
    for env in OTHER:
        count = f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema(twin, env).name}'"
        assert await place.admin.fetchval(count) == 22


async def test_a_copy_of_such_a_database_is_such_a_one(place: Place, uid: str) -> None:
    twin = await with_secrets(place, uid)
    async with logged_in(await place.uri(twin, "test")) as connection:
        await connection.execute(planted(twin, "test", "trigger"))
    body = {"database_id": twin.id, "uid": uid, "new_database_name": "copy"}
    made = await place.api.post("clone_database", body)
    assert made.code == 0, made.body
    copy = Twin(place.api, made.data["database_id"], uid)
    await calls(copy, "test")
    assert await words(place, copy, "prod", "secret") == ["the word"]
    assert await words(place, copy, "test", "loot") == []
    assert await place.differences() == []


async def test_the_loan_is_for_one_session_and_one_environment(place: Place, uid: str) -> None:
    twin = await with_secrets(place, uid)
    await place.connection(twin, "test")
    both = RoleName.ddl(twin.id)
    dsn = place.settings.dsn or ""
    key = context_key(MASTER_SECRET)
    owners = {each: RoleName.owner(each, twin.id) for each in Environment}

    @asynccontextmanager
    async def session() -> AsyncIterator[Any]:
        async with logged_in(login_url(dsn, both.name, derive(MASTER_SECRET, both.name))) as made:
            yield made

    def loan(connection: Any, environment: Environment) -> str:
        pid = connection.get_server_pid()
        return becoming_lent(key, pid, both.name, owners[environment], environment)

    async with session() as one, session() as two:
        prod = loan(one, Environment.PROD)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no such owner"):
            await two.execute(f"BEGIN; {prod}")
        await two.execute("ROLLBACK")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no such owner"):
            await one.execute("BEGIN; " + prod.replace("'prod'", "'test'"))
        await one.execute("ROLLBACK")
        await one.execute(f"BEGIN; {prod}")
        assert await one.fetchval("SELECT current_user") == owners[Environment.PROD].name
        # Nobody sees it, and it is over already.
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await two.execute(f"SET ROLE {owners[Environment.PROD]}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await one.execute(f"RESET ROLE; SET ROLE {owners[Environment.PROD]}")
        await one.execute("ROLLBACK")
        token = answer_token(key, one.get_server_pid(), both.name, b"", "prod", "")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no such owner"):
            await one.execute(f"SELECT pgtwin_rt.lend_owner('{token}', 'prod')")


async def test_a_worker_that_has_not_heard_yet_runs_the_call_all_the_same(
    place: Place, uid: str
) -> None:
    twin = await with_secrets(place, uid)
    await twin.rows("SELECT 1")
    directory = place.services.directory
    before = await directory.find(twin.id)
    await place.connection(twin, "test")
    await asyncio.sleep(0.2)
    assert (await directory.find(twin.id)).owners_apart
    for ask in (
        lambda: twin.rows("SELECT n FROM t", env="test"),
        lambda: twin.make("CREATE TABLE late (n int)"),
        lambda: twin.make("DROP TABLE late"),
    ):
        directory._entries.put(twin.id, before, directory._entries.version)
        await ask()
