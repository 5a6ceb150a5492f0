"""Connections: what their logins can do, what they can't, and how they end."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from core.postgres.preparation import login_url, prepare
from memory.connections.tasks import LINGER_SECONDS, drop_retired
from tests.conftest import MASTER_SECRET, with_database
from tests.places import Place, logged_in, place_on, schema
from tests.server import embedded_server
from tests.sql import NOTES, Twin, as_user

DENIED = asyncpg.InsufficientPrivilegeError
ENDED = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidPasswordError,
)


async def until_ended(connection: Any) -> None:
    """Raises what the connection ends with, if it does."""
    for _ in range(80):
        await connection.execute("SELECT 1")
        await asyncio.sleep(0.1)


async def refused(connection: Any, sql: str, *errors: type[Exception]) -> None:
    with pytest.raises(errors or (DENIED,)):
        await connection.execute(sql)


# What the logins are for.


async def test_what_is_made_through_a_uri_is_the_owners_and_the_services(
    place: Place, uid: str
) -> None:
    twin = await place.twin(uid)
    made = await place.connection(twin)
    async with logged_in(made["uri"]) as connection:
        await connection.execute("CREATE TABLE items (id int PRIMARY KEY, uid text, n int)")
        await connection.execute(f"INSERT INTO items VALUES (1, '{uid}', 5), (2, 'other', 6)")
        assert await connection.fetchval("SELECT current_user") == f"d{twin.id}_prod"
        assert await connection.fetchval("SELECT session_user") == made["user"]
        assert await connection.fetchval("SELECT current_schema()") == made["schema_name"]
    # Admitted when an end user first meets it, and altered by the service as its own.
    assert await twin.rows("SELECT n FROM items", **as_user(uid, "")) == [{"n": 5}]
    await twin.make("ALTER TABLE items ADD COLUMN note text", env="prod")


@pytest.mark.parametrize("reset", ["RESET ROLE", "DISCARD ALL", "RESET ALL", "SET ROLE NONE"])
async def test_what_goes_back_from_the_owner_makes_nothing_of_its_own(
    place: Place, uid: str, reset: str
) -> None:
    twin = await place.twin(uid)
    async with logged_in(await place.uri(twin)) as connection:
        await connection.execute(reset)
        if reset == "SET ROLE NONE":
            await refused(connection, f"CREATE TABLE {schema(twin)}.mine (n int)")
        else:
            await connection.execute("CREATE TABLE mine (n int)")
            owner = await connection.fetchval(
                "SELECT tableowner FROM pg_tables WHERE tablename = 'mine' AND schemaname = $1",
                schema(twin).name,
            )
            assert owner == f"d{twin.id}_prod"


async def test_a_reader_sees_all_that_there_is_and_that_comes(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    await twin.make(f"{NOTES}; CREATE TABLE plain (n int)")
    await twin.rows("INSERT INTO notes (body) VALUES ('a')", **as_user(uid, ""))
    async with (
        logged_in(await place.reader(twin)) as reader,
        logged_in(await place.uri(twin)) as writer,
    ):
        assert await reader.fetchval("SELECT count(*) FROM notes") == 1
        await twin.make("CREATE TABLE later (id BIGSERIAL PRIMARY KEY, uid VARCHAR(64), n int)")
        await twin.rows("INSERT INTO later (n) VALUES (1)", **as_user(uid, ""))
        await writer.execute(
            "CREATE TABLE raw (id bigserial, uid text); CREATE VIEW seen AS"
            " SELECT * FROM raw; CREATE MATERIALIZED VIEW kept AS SELECT 1 AS n"
        )
        await writer.execute("INSERT INTO raw (uid) VALUES ('x'), ('y')")
        for table, count in (("later", 1), ("raw", 2), ("seen", 2), ("kept", 1), ("plain", 0)):
            assert await reader.fetchval(f"SELECT count(*) FROM {table}") == count, table
        assert await reader.fetchval("SELECT last_value FROM raw_id_seq") == 2
        # And once it is admitted.
        assert await twin.rows("SELECT * FROM raw", **as_user("x", "")) != []
        assert await reader.fetchval("SELECT count(*) FROM raw") == 2
        assert await reader.fetchval("SELECT count(*) FROM seen") == 2


WRITES = (
    "INSERT INTO notes (body) VALUES ('x')",
    "UPDATE notes SET body = 'x'",
    "DELETE FROM notes",
    "TRUNCATE notes",
    "SELECT * FROM notes FOR UPDATE",
    "DO $$ BEGIN LOCK notes IN EXCLUSIVE MODE; END $$",
    "SELECT nextval('notes_id_seq')",
    "SELECT setval('notes_id_seq', 9)",
    "COPY notes (body) FROM PROGRAM 'echo x'",
    "INSERT INTO heads VALUES ('x')",
    "SELECT write()",
    "DO $$ BEGIN EXECUTE 'DELETE FROM notes'; END $$",
    "CREATE TABLE mine (n int)",
    "CREATE TEMP TABLE mine (n int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE notes ADD COLUMN x int",
    "DROP TABLE notes",
    "CREATE POLICY p ON notes USING (true)",
    "DROP POLICY pgtwin_reader ON notes",
    "REFRESH MATERIALIZED VIEW kept",
    "GRANT INSERT ON notes TO CURRENT_USER; INSERT INTO notes (body) VALUES ('x')",
    "CREATE SCHEMA mine",
    "ANALYZE VERBOSE notes; DELETE FROM notes",
    "SET ROLE d{id}_prod",
    "SET ROLE d{id}_prod_ro; DELETE FROM notes",
    "SET SESSION AUTHORIZATION d{id}_prod",
    "SET SESSION AUTHORIZATION DEFAULT; DELETE FROM notes",
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT 99",
    "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'",
    "ALTER ROLE CURRENT_USER CREATEROLE",
    "ALTER ROLE d{id}_prod SET search_path = ''",
    "ALTER ROLE d{id}_prod_app PASSWORD 'x'",
    "GRANT d{id}_prod TO CURRENT_USER",
    "SELECT pgtwin_admin.drop_roles({id})",
)


async def test_a_reader_can_change_nothing_whatever_it_sends(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    await twin.make(NOTES)
    async with logged_in(await place.uri(twin)) as writer:
        await writer.execute(
            "INSERT INTO notes (uid, body) VALUES ('a', 'kept');"
            "CREATE VIEW heads AS SELECT body FROM notes;"
            "CREATE MATERIALIZED VIEW kept AS SELECT 1 AS n;"
            "CREATE FUNCTION write() RETURNS void LANGUAGE sql AS 'DELETE FROM notes'"
        )
        async with logged_in(await place.reader(twin)) as reader:
            for sql in WRITES:
                # Neither is the setting a wall, nor is it needed.
                await reader.execute("SET default_transaction_read_only = off")
                with pytest.raises(asyncpg.PostgresError) as raised:
                    await reader.execute(sql.format(id=twin.id))
                assert raised.value.sqlstate in ("42501", "0LP01", "55000"), (sql, raised.value)
        assert await writer.fetchval("SELECT body FROM notes") == "kept"


async def test_a_function_that_acts_as_its_owner_does_so_for_readers_until_it_is_closed(
    place: Place, uid: str
) -> None:
    twin = await place.twin(uid)
    async with (
        logged_in(await place.uri(twin)) as writer,
        logged_in(await place.reader(twin)) as reader,
    ):
        await writer.execute(
            "CREATE TABLE t (n int); CREATE FUNCTION add() RETURNS void LANGUAGE sql"
            " SECURITY DEFINER AS 'INSERT INTO t VALUES (1)'"
        )
        await refused(reader, "SELECT add()", asyncpg.ReadOnlySQLTransactionError)
        await writer.execute("REVOKE EXECUTE ON FUNCTION add() FROM PUBLIC")
        await reader.execute("SET default_transaction_read_only = off")
        await refused(reader, "SELECT add()")


# Walls.


async def test_a_connection_reaches_nothing_outside_its_environment(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    other = await place.twin(f"{uid}b")
    for each in (twin, other):
        await each.make("CREATE TABLE secrets (n int)")
    attacks = [
        f"SELECT * FROM {schema(twin, 'prod')}.secrets",
        f"SELECT * FROM {schema(other, 'test')}.secrets",
        f"CREATE TABLE {schema(twin, 'prod')}.mine (n int)",
        "SELECT * FROM pgtwin.database_meta",
        "SELECT * FROM pgtwin_admin.context_key",
        "SELECT rolpassword FROM pg_authid",
        f"SELECT pgtwin_admin.drop_roles({other.id})",
        f"SELECT pgtwin_admin.close_connection({other.id}, {other.id})",
        "CREATE TABLE public.mine (n int)",
        "CREATE ROLE mine",
        "CREATE SCHEMA mine",
        f"DROP SCHEMA {schema(twin, 'test')} CASCADE",
        f"ALTER SCHEMA {schema(twin, 'test')} RENAME TO mine",
        f"GRANT USAGE ON SCHEMA {schema(twin, 'prod')} TO d{twin.id}_test",
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT 99",
        "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'",
        "ALTER ROLE SESSION_USER CONNECTION LIMIT 99",
        f"GRANT d{twin.id}_prod TO SESSION_USER",
        "COPY (SELECT 1) TO '/tmp/x'",
        "CREATE EXTENSION dblink",
        *(
            f"{become} {role}"
            for become in ("SET ROLE", "SET SESSION AUTHORIZATION")
            for role in (
                f"d{twin.id}_prod",
                f"d{twin.id}_ddl",
                f"d{twin.id}_test_app",
                f"d{other.id}_test",
                "pgtwin_control",
                "pgtwin_owner",
                "postgres",
            )
        ),
    ]
    for uri in (await place.uri(twin, "test"), await place.reader(twin, "test")):
        for before in ("", "RESET ROLE", "SET ROLE NONE", "SET SESSION AUTHORIZATION DEFAULT"):
            async with logged_in(uri) as connection:
                await connection.execute(before or "SELECT 1")
                for attack in attacks:
                    with pytest.raises(asyncpg.PostgresError):
                        await connection.execute(attack)


async def test_a_role_changes_its_own_password_and_a_rotation_takes_that_back(
    place: Place, uid: str
) -> None:
    twin = await place.twin(uid)
    for mode in ("read_write", "read_only"):
        made = await place.connection(twin, mode=mode)
        async with logged_in(made["uri"]) as connection:
            await connection.execute("SET ROLE NONE")
            await connection.execute("SET default_transaction_read_only = off")
            await connection.execute(
                "ALTER ROLE CURRENT_USER PASSWORD 'mine'; ALTER ROLE CURRENT_USER SET role = none;"
                "ALTER ROLE CURRENT_USER SET search_path = nowhere"
            )
        with pytest.raises(REFUSED):
            await asyncpg.connect(made["uri"])
        async with logged_in(login_url(made["uri"], made["user"], "mine")):
            pass
        rotated = await place.api.post(
            "rotate_connection", connection_id=made["connection_id"], uid=uid
        )
        assert rotated.code == 0, rotated.body
        with pytest.raises(REFUSED):
            await asyncpg.connect(login_url(made["uri"], made["user"], "mine"))
        async with logged_in(rotated.data["uri"]) as connection:
            assert await connection.fetchval("SELECT current_schema()") == schema(twin).name


# The ends of connections.


async def test_rotation_ends_open_sessions_and_the_old_password(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    old = await place.connection(twin)
    async with logged_in(old["uri"]) as connection:
        await connection.execute("CREATE TABLE t (n int)")
        new = await place.api.post("rotate_connection", connection_id=old["connection_id"], uid=uid)
        assert new.code == 0, new.body
        assert new.data["connection_id"] == old["connection_id"]
        assert new.data["connection_limit"] == 2
        with pytest.raises(ENDED):
            await connection.execute("SELECT 1")
    with pytest.raises(REFUSED):
        await asyncpg.connect(old["uri"])
    async with logged_in(new.data["uri"]) as connection:
        await connection.execute("INSERT INTO t VALUES (1)")
    await drop_retired(place.services.database, linger=0)
    assert await place.roles(twin) == {new.data["user"]}
    assert await place.differences() == []


async def test_a_login_that_began_before_a_rotation_is_refused_at_its_end(
    place: Place, uid: str
) -> None:
    """Its proof fits the password that was right when it began."""
    twin = await place.twin(uid)
    made = await place.connection(twin)
    has_proven, may_go_on = asyncio.Event(), asyncio.Event()

    async def pass_on(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(made["host"], made["port"])

        async def answer() -> None:
            while data := await server.read(65536):
                to_client.write(data)
            to_client.close()

        answering = asyncio.create_task(answer())
        responses = 0
        while data := await client.read(65536):
            responses += data[:1] == b"p"
            if responses == 2:
                has_proven.set()
                await may_go_on.wait()
            to_server.write(data)
        to_server.close()
        await answering
        await to_server.wait_closed()

    proxy = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    slow = made["uri"].replace(f":{made['port']}/", f":{port}/")
    login = asyncio.create_task(asyncpg.connect(slow, ssl=False, timeout=20))
    await asyncio.wait_for(has_proven.wait(), 10)
    for action in ("rotate_connection", "revoke_connection"):
        done = await place.api.post(action, connection_id=made["connection_id"], uid=uid)
        assert done.code == 0, done.body
    may_go_on.set()
    with pytest.raises(REFUSED):
        await login
    proxy.close()


async def test_revocation_ends_open_sessions_and_the_role(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    made = [await place.connection(twin), await place.connection(twin, mode="read_only")]
    for each in made:
        async with logged_in(each["uri"]) as connection:
            for _ in range(2):
                done = await place.api.post(
                    "revoke_connection", connection_id=each["connection_id"], uid=uid
                )
                assert done.code == 0, done.body
            with pytest.raises(ENDED):
                await connection.execute("SELECT 1")
        with pytest.raises(REFUSED):
            await asyncpg.connect(each["uri"])
    assert await place.differences() == []
    await drop_retired(place.services.database, linger=0)
    assert await place.roles(twin) == set()
    rotated = await place.api.post(
        "rotate_connection", connection_id=made[0]["connection_id"], uid=uid
    )
    assert (rotated.status, rotated.error["type"]) == (409, "connection_ended")


async def test_sessions_end_when_the_time_comes(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    made = await place.connection(twin, ttl_seconds=2)
    lasting = await place.connection(
        twin, expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat()
    )
    async with logged_in(made["uri"]) as connection, logged_in(lasting["uri"]) as other:
        with pytest.raises(ENDED):
            await until_ended(connection)
        assert await other.fetchval("SELECT 1") == 1
    with pytest.raises(REFUSED):
        await asyncpg.connect(made["uri"])
    listed = (await place.api.get(f"databases/{twin.id}/connections")).data["connections"]
    assert [each["status"] for each in listed] == ["active", "expired"]
    assert listed[1]["ended_at"] is not None
    for _ in range(100):
        if await place.roles(twin) == {lasting["user"]}:
            break
        await asyncio.sleep(LINGER_SECONDS / 40)
    assert await place.roles(twin) == {lasting["user"]}


async def test_a_connection_has_so_many_sessions_and_no_more(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    uri = await place.uri(twin, connection_limit=1)
    async with logged_in(uri):
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await asyncpg.connect(uri)


async def test_a_drop_takes_the_connections_along(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    await twin.make(NOTES)
    made = [await place.connection(twin), await place.connection(twin, "test", mode="read_only")]
    async with logged_in(made[0]["uri"]) as connection:
        dropped = await place.api.post("drop_database", database_id=twin.id, uid=uid)
        assert dropped.code == 0, dropped.body
        with pytest.raises(ENDED):
            await connection.execute("SELECT 1")
    left = await place.admin.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE $1", f"d{twin.id}%"
    )
    assert left == []
    assert await place.differences() == []
    gone = await place.api.post(
        "revoke_connection", connection_id=made[0]["connection_id"], uid=uid
    )
    assert (gone.status, gone.code) == (404, 25022)


async def test_a_clone_has_none_of_the_connections_and_can_have_readers(
    place: Place, uid: str
) -> None:
    twin = await place.twin(uid)
    await twin.make(NOTES)
    await twin.rows("INSERT INTO notes (body) VALUES ('a')", **as_user(uid, ""))
    await place.reader(twin)
    await place.uri(twin)
    cloned = await place.api.post(
        "clone_database", database_id=twin.id, uid=uid, new_database_name="copy"
    )
    assert cloned.code == 0, cloned.body
    copy = Twin(place.api, cloned.data["database_id"], uid)
    assert await place.roles(copy) == set()
    mentioned = await place.admin.fetchval(
        "SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE relnamespace = $1::regnamespace AND a.grantee::regrole::text LIKE $2",
        str(schema(copy)),
        f"d{twin.id}%",
    )
    assert mentioned == 0
    async with logged_in(await place.reader(copy)) as reader:
        assert await reader.fetchval("SELECT count(*) FROM notes") == 1
        await copy.make("CREATE TABLE later (uid text)")
        assert await reader.fetchval("SELECT count(*) FROM later") == 0
    for each in (twin, copy):
        dropped = await place.api.post("drop_database", database_id=each.id, uid=uid)
        assert dropped.code == 0, dropped.body
    assert await place.differences() == []


async def test_drift_of_connections_is_found_and_mended(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    lost, kept = await place.connection(twin), await place.connection(twin)
    stray = f"d{twin.id}_c{twin.id}"
    await place.admin.execute(
        f"DROP OWNED BY {lost['user']}; DROP ROLE {lost['user']}; CREATE ROLE {stray} LOGIN"
    )
    assert sorted(await place.differences()) == [
        ("connection without role", lost["user"]),
        ("role without connection", stray),
    ]
    if await place.admin.fetchval("SELECT to_regrole('pgtwin_roles') IS NULL"):
        await place.repair()
        assert await place.differences() == []
        assert await place.roles(twin) == {kept["user"]}
    else:
        await place.admin.execute(f"DROP ROLE {stray}")
        await place.repair()
    listed = (await place.api.get(f"databases/{twin.id}/connections")).data["connections"]
    assert [each["status"] for each in listed] == ["active", "revoked"]


async def test_another_master_secret_leaves_connections_as_they_are(uid: str) -> None:
    async with AsyncExitStack() as stack:
        server = embedded_server(stack)
        place = await stack.enter_async_context(place_on(server))
        twin = await place.twin(uid)
        uris = [await place.uri(twin), await place.reader(twin)]
        name = urlsplit(place.settings.dsn or "").path.lstrip("/")
        admin_url = with_database(server, name)
        quiet: dict[str, Any] = {"log": lambda _line: None, "new_secret": True}
        await prepare(admin_url, "another-secret-of-the-tests-and-of-nothing", **quiet)
        for uri in uris:
            async with logged_in(uri) as connection:
                assert await connection.fetchval("SELECT current_schema()") == schema(twin).name
        await prepare(admin_url, MASTER_SECRET, **quiet)


async def test_fifty_at_once(place: Place, uid: str) -> None:
    twin = await place.twin(uid)
    await twin.make(NOTES)
    modes = ["read_write", "read_only"] * 25
    made = await asyncio.gather(*(place.connection(twin, mode=mode) for mode in modes))
    assert await place.roles(twin) == {each["user"] for each in made}
    async with logged_in(made[-1]["uri"]) as connection:
        assert await connection.fetchval("SELECT count(*) FROM notes") == 0
    assert await place.differences() == []
