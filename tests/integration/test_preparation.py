"""What `prepare` makes, by a superuser and without one, and what its roles can and can't do."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from core.postgres.embedded import Binaries, EmbeddedServer
from core.postgres.engine import Database, create_engine
from core.postgres.identifiers import Environment, RoleName, literal
from core.postgres.passwords import derive, scram_verifier
from core.postgres.preparation import login_url, prepare
from core.settings import Settings
from memory.api_keys.service import NewKey
from memory.caller import Scope
from memory.doctor.service import examine
from memory.services import Services
from tests.api import Api
from tests.conftest import MASTER_SECRET, control_database, http_client, running, with_database

DEBIAN_15 = Path("/usr/lib/postgresql/15")
VERIFIER = scram_verifier("x")
BAD_IDS = ("NULL", "5", str(2**31 - 1), str(-(2**61)))
PROD = Environment.PROD
GONE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        connection.terminate()


async def run(url: str, *statements: str) -> None:
    async with connected(url) as connection:
        for statement in statements:
            await connection.execute(statement)


@contextmanager
def own_server(major: int = 18, **settings: str) -> Iterator[str]:
    """A superuser's URL of a server that nothing was prepared on."""
    binaries = Binaries(DEBIAN_15, 15) if major == 15 else None
    if binaries and not binaries.postgres.exists():
        pytest.skip(f"there is no PostgreSQL 15 in {DEBIAN_15}")
    folder = Path(tempfile.mkdtemp(prefix="pgtwin-tests-"))
    folder.chmod(0o711)
    given = {"fsync": "off", **settings}
    server = EmbeddedServer(folder, major=major, binaries=binaries, settings=given)
    try:
        with server:
            yield server.superuser_url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def managed_login(superuser_url: str, attributes: str = "CREATEROLE CREATEDB") -> str:
    """The URL of a login such as managed servers give to their customers."""
    name = f"customer_{secrets.token_hex(4)}"
    await run(superuser_url, f"CREATE ROLE {name} LOGIN {attributes} PASSWORD 'x'")
    return login_url(superuser_url, name, "x")


@dataclass(frozen=True)
class Service:
    """A running service, and what its database was prepared with."""

    settings: Settings
    api: Api
    superuser_url: str
    admin_url: str

    async def fetch(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows as a superuser sees them."""
        async with connected(self.superuser_url) as connection:
            return [tuple(row) for row in await connection.fetch(query, *arguments)]

    def url_of(self, role: RoleName) -> str:
        return login_url(self.settings.dsn or "", role.name, derive(MASTER_SECRET, role.name))


@asynccontextmanager
async def service_on(superuser_url: str, admin_url: str) -> AsyncIterator[Service]:
    async with control_database(admin_url) as settings, running(settings) as app:
        services: Services = app.state.services
        wanted = NewKey(uid=None, scopes=frozenset({Scope.ADMIN}))
        _, token = await services.database.transaction(
            lambda session: services.api_keys(session).create(wanted)
        )
        name = urlsplit(settings.dsn or "").path.lstrip("/")
        urls = with_database(superuser_url, name), with_database(admin_url, name)
        async with http_client(app, Authorization=f"Bearer {token}") as client:
            service = Service(settings, Api(client), *urls)
            yield service
            query = "SELECT id, uid FROM pgtwin.database_meta WHERE deleted_at IS NULL"
            for row in await service.fetch(query):
                await drop(Twin(service, *row))


@pytest.fixture(scope="module", params=["superuser", "managed 15", "managed 16", "managed 18"])
async def service(request: pytest.FixtureRequest, admin_url: str) -> AsyncIterator[Service]:
    """A service prepared by a superuser, or by a login with CREATEROLE and CREATEDB."""
    if request.param == "superuser":
        async with service_on(admin_url, admin_url) as found:
            yield found
        return
    with own_server(int(request.param.split()[1])) as url:
        async with service_on(url, await managed_login(url)) as found:
            yield found


@dataclass(frozen=True)
class Twin:
    """A database; each of its schemas has a table `t` that is admitted to nobody."""

    service: Service
    id: int
    uid: str

    def schema(self, environment: Environment) -> str:
        return f"{environment}_{self.uid}_{self.id}"

    def as_app(self, environment: Environment) -> str:
        return self.service.url_of(RoleName.app(environment, self.id))

    def as_ddl(self) -> str:
        return self.service.url_of(RoleName.ddl(self.id))


async def make_twin(service: Service) -> Twin:
    uid = f"u{secrets.token_hex(4)}"
    twin = Twin(service, await service.api.create("walls", uid=uid), uid)
    for environment in Environment:
        owner, table = RoleName.owner(environment, twin.id), f"{twin.schema(environment)}.t"
        await run(twin.as_ddl(), f"SET ROLE {owner}", f"CREATE TABLE {table} (n int)")
    return twin


async def drop(twin: Twin) -> None:
    dropped = await twin.service.api.post("drop_database", database_id=twin.id, uid=twin.uid)
    assert dropped.code == 0, dropped.body


@pytest.fixture(scope="module")
async def twin(service: Service) -> Twin:
    return await make_twin(service)


@pytest.fixture(scope="module")
async def neighbour(service: Service) -> Twin:
    return await make_twin(service)


async def allowed(
    url: str,
    statements: Iterable[str],
    refusal: type[Exception] = asyncpg.InsufficientPrivilegeError,
) -> list[str]:
    """Those of the statements that are not refused in this way."""
    passed = []
    async with connected(url) as connection:
        for statement in statements:
            with suppress(refusal):
                await connection.execute(statement)
                passed.append(statement)
    return passed


async def test_a_second_preparation_changes_nothing(service: Service) -> None:
    query = """
        SELECT 'role', to_jsonb(r) FROM pg_roles r WHERE rolname ~ '^pgtwin_' UNION ALL
        SELECT 'member', to_jsonb(m) FROM pg_auth_members m
            WHERE roleid::regrole::text ~ '^pgtwin_' UNION ALL
        SELECT 'database', to_jsonb(d) - 'datfrozenxid' FROM pg_database d
            WHERE datname = current_database() UNION ALL
        SELECT 'schema', to_jsonb(n) FROM pg_namespace n UNION ALL
        SELECT 'extension', to_jsonb(e) FROM pg_extension e UNION ALL
        SELECT 'function', to_jsonb(p) FROM pg_proc p
            WHERE pronamespace = 'pgtwin_admin'::regnamespace
        ORDER BY 1, 2"""
    before = await service.fetch(query)
    again = await prepare(service.admin_url, MASTER_SECRET, log=lambda _line: None)
    assert again.control_url == service.settings.dsn
    assert await service.fetch(query) == before


async def test_the_services_logins_are_ordinary_roles(service: Service) -> None:
    rows = await service.fetch(
        "SELECT rolname, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls"
        " OR rolreplication, (SELECT count(*) FROM pg_auth_members WHERE member = r.oid)"
        " FROM pg_roles r WHERE rolname IN ('pgtwin_control', 'pgtwin_owner') ORDER BY 1"
    )
    assert rows == [("pgtwin_control", True, False, 0), ("pgtwin_owner", True, False, 0)]


async def test_the_services_login_reaches_no_more_than_it_needs(service: Service) -> None:
    refused = [
        "SELECT rolpassword FROM pg_authid",
        "UPDATE pgtwin.audit_entry SET uid = ''",
        "DELETE FROM pgtwin.audit_entry",
        "TRUNCATE pgtwin.audit_entry",
        "DELETE FROM pgtwin.database_meta",
        "UPDATE pgtwin.api_key SET secret_hash = ''",
        "CREATE TABLE pgtwin.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE TEMP TABLE mine ()",
        "CREATE ROLE mine",
        "SET ROLE pgtwin_owner",
        "DROP FUNCTION pgtwin_admin.version()",
    ]
    assert await allowed(service.settings.dsn or "", refused) == []


async def test_the_role_functions_refuse_what_a_database_never_has(service: Service) -> None:
    good = literal(VERIFIER)
    not_verifiers = ["", "clear text", "x' SUPERUSER --", VERIFIER + "\n", VERIFIER + "'"]
    calls = [f"{name}_roles({bad})" for name in ("close", "drop") for bad in BAD_IDS]
    calls += [f"create_roles({bad}, {good}, {good}, {good})" for bad in BAD_IDS]
    for bad in ("NULL", *map(literal, not_verifiers)):
        for verifiers in set(permutations((bad, good, good))):
            calls += [f"create_roles({2**61}, {', '.join(verifiers)})"]
    statements = [f"SELECT pgtwin_admin.{call}" for call in calls]
    dsn, refusal = service.settings.dsn or "", asyncpg.InvalidParameterValueError
    assert await allowed(dsn, statements, refusal) == []


async def test_the_role_functions_are_for_the_service_alone(service: Service) -> None:
    rows = await service.fetch(
        "SELECT proname, proconfig, array_agg(grantee::regrole::text)"
        " FILTER (WHERE grantee <> proowner)"
        " FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))"
        " WHERE pronamespace = 'pgtwin_admin'::regnamespace GROUP BY 1, 2"
    )
    assert {row[0] for row in rows} > {"create_roles", "close_roles", "drop_roles"}
    assert {tuple(row[1]) for row in rows} == {("search_path=pg_catalog, pg_temp",)}
    # What signs is called by the functions that the control schema's owner adds.
    assert {row[0]: sorted(row[2]) for row in rows if row[2] != ["pgtwin_control"]} == {
        "signature": ["pgtwin_control", "pgtwin_owner"]
    }


async def test_a_tenants_roles_have_these_attributes_and_no_others(twin: Twin) -> None:
    rows = await twin.service.fetch(
        "SELECT substr(a.rolname, length($1) + 2), a.rolcanlogin, a.rolinherit,"
        " a.rolsuper OR a.rolcreaterole OR a.rolcreatedb OR a.rolbypassrls OR a.rolreplication,"
        " r.rolconfig, split_part(a.rolpassword, ':', 1)"
        " FROM pg_authid a JOIN pg_roles r ON r.oid = a.oid WHERE a.rolname ~ ('^d' || $1)"
        " ORDER BY 1",
        str(twin.id),
    )
    one_turn = "SCRAM-SHA-256$1"
    assert rows == [
        ("_ddl", True, False, False, None, one_turn),
        ("_prod", False, True, False, None, None),
        ("_prod_app", True, False, False, None, one_turn),
        ("_test", False, True, False, None, None),
        ("_test_app", True, False, False, None, one_turn),
    ]


async def test_only_the_ddl_login_is_a_member_and_only_of_the_owners(twin: Twin) -> None:
    rows = await twin.service.fetch(
        # Without a superuser, who makes a role administers it; before 16 a grant has no options.
        "SELECT roleid::regrole::text, member::regrole::text, admin_option,"
        " to_jsonb(m) ->> 'inherit_option', to_jsonb(m) ->> 'set_option' FROM pg_auth_members m"
        " WHERE concat_ws(' ', roleid::regrole, member::regrole) ~ $1"
        " AND member::regrole::text <> 'pgtwin_roles' ORDER BY 1",
        f"\\md{twin.id}_",
    )
    options = ("false", "true") if rows[0][3] else (None, None)
    assert rows == [
        (f"d{twin.id}_{environment}", f"d{twin.id}_ddl", False, *options)
        for environment in Environment
    ]


@pytest.mark.parametrize("environment", list(Environment))
async def test_an_app_login_is_walled_in(
    twin: Twin, neighbour: Twin, environment: Environment
) -> None:
    [other] = set(Environment) - {environment}
    refused = [
        f"SELECT FROM {twin.schema(environment)}.t",
        f"SELECT FROM {twin.schema(other)}.t",
        f"SELECT FROM {neighbour.schema(environment)}.t",
        "SELECT FROM pgtwin.database_meta",
        "SELECT FROM pgtwin.api_key",
        f"SELECT pgtwin_admin.drop_roles({neighbour.id})",
        f"CREATE TABLE {twin.schema(environment)}.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE TABLE pgtwin_ext.mine ()",
        "CREATE TEMP TABLE mine ()",
        f"SET ROLE {RoleName.owner(environment, twin.id)}",
        f"SET ROLE {RoleName.owner(environment, neighbour.id)}",
        "SET ROLE pgtwin_control",
    ]
    assert await allowed(twin.as_app(environment), refused) == []
    assert await twin.service.fetch(
        "SELECT has_schema_privilege($1, $2, 'USAGE'), has_schema_privilege($1, $3, 'USAGE')",
        RoleName.app(environment, twin.id).name,
        twin.schema(environment),
        twin.schema(other),
    ) == [(True, False)]


async def test_the_ddl_login_has_nothing_before_it_becomes_an_owner(
    twin: Twin, neighbour: Twin
) -> None:
    tables = [f"CREATE TABLE {twin.schema(environment)}.d ()" for environment in Environment]
    assert await allowed(twin.as_ddl(), tables) == []
    for environment in Environment:
        owner = f"SET ROLE {RoleName.owner(environment, twin.id)}"
        assert await allowed(twin.as_ddl(), [owner, *tables]) == [
            owner,
            f"CREATE TABLE {twin.schema(environment)}.d ()",
        ]
    refused = [
        f"SET ROLE {RoleName.owner(PROD, neighbour.id)}",
        f"SET ROLE {RoleName.app(PROD, twin.id)}",
        f"DROP SCHEMA {twin.schema(PROD)}",
        f"ALTER SCHEMA {twin.schema(PROD)} RENAME TO mine",
    ]
    assert await allowed(twin.as_ddl(), refused) == []


@pytest.mark.parametrize("way", ["the service", "the role function"])
async def test_a_drop_takes_all_that_the_roles_have_left(service: Service, way: str) -> None:
    twin = await make_twin(service)
    await run(
        twin.as_ddl(),
        f"SET ROLE {RoleName.owner(PROD, twin.id)}",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    )
    # As where nobody hardened the server.
    await service.fetch("GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC")
    async with connected(twin.as_app(PROD)) as session:
        large_object = await session.fetchval("SELECT lo_create(0)")
        if way == "the service":
            await drop(twin)
        else:
            schemas = [f"DROP SCHEMA {twin.schema(each)} CASCADE" for each in Environment]
            drop_roles = f"SELECT pgtwin_admin.drop_roles({twin.id})"
            await run(service.settings.dsn or "", *schemas, drop_roles)
        with pytest.raises(GONE):
            await session.execute("SELECT 1")
    left = (
        "SELECT rolname::text FROM pg_roles WHERE rolname ~ $1"
        " UNION ALL SELECT defaclobjtype::text FROM pg_default_acl"
        " UNION ALL SELECT oid::text FROM pg_largeobject_metadata WHERE oid = $2"
    )
    assert await service.fetch(left, f"^d{twin.id}_", large_object) == []


async def test_the_mends_of_drift_work_in_the_order_that_they_are_told(service: Service) -> None:
    twin = await make_twin(service)
    await run(service.superuser_url, f"DELETE FROM pgtwin.database_meta WHERE id = {twin.id}")

    async def mends() -> list[str]:
        database = Database(create_engine(service.settings.dsn or "", service.settings))
        try:
            found = await examine(service.settings, database)
        finally:
            await database.close()
        return [finding.mend for finding in found if str(twin.id) in finding.message]

    told = [mend.removeprefix("look into it, then: ") for mend in await mends()]
    assert told
    await run(service.settings.dsn or "", *told)
    assert await mends() == []


async def test_a_superuser_takes_the_role_functions_over(service: Service) -> None:
    """The mend that `doctor` names where the preparation had no superuser."""
    await prepare(service.superuser_url, MASTER_SECRET, log=lambda _line: None)
    owners = await service.fetch(
        "SELECT DISTINCT rolsuper FROM pg_proc JOIN pg_roles r ON r.oid = proowner"
        " WHERE pronamespace = 'pgtwin_admin'::regnamespace"
    )
    assert owners == [(True,)]
    await make_twin(service)


async def test_many_preparations_at_once_all_succeed() -> None:
    with own_server() as url:
        names = ["same", "same", *(f"of_its_own_{number}" for number in range(6))]
        async with asyncio.TaskGroup() as group:
            prepared = [prepare(with_database(url, name), MASTER_SECRET) for name in names]
            tasks = [group.create_task(each) for each in prepared]
        for task in tasks:
            await run(task.result().control_url, "SELECT 1")
