"""The attacked database of the corpora, over a real service."""

import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx

from core.errors import StatementTimeout
from core.sqlguard import Kind, Ruleset, Statement
from memory.api_keys.service import NewKey
from memory.app import create_app
from memory.caller import USUAL, Scope
from memory.services import Services
from tests.acceptance.sql import corpus
from tests.acceptance.sql.corpus import Acting, Call, Case, Expect, Step, Who
from tests.api import Answer, Api
from tests.conftest import control_database, http_client, with_database
from tests.server import embedded_server

APP, OWNER, NEIGHBOUR = "app1", "owner", "neighbour"
# Short, for many attacks are nothing but long.
LIMITS: dict[str, Any] = {
    "sql_timeout": 2.0,
    "sql_transaction_timeout": 4.0,
    "sql_lock_timeout": 0.5,
    "sql_sessions": 10,
    "pool_size": 5,
}
parser: Any = import_module("postgast")
_KINDS = {
    "insert_stmt": Kind.INSERT,
    "update_stmt": Kind.UPDATE,
    "delete_stmt": Kind.DELETE,
    "merge_stmt": Kind.MERGE,
}


@dataclass(frozen=True)
class Mode:
    """What stands between the attacks and PostgreSQL."""

    major: int
    is_hardened: bool
    has_guard: bool

    def __str__(self) -> str:
        parts = [str(self.major), "hardened" if self.is_hardened else "as it comes"]
        return ", ".join([*parts, *([] if self.has_guard else ["no guard"])])


async def admit_all(sql: str, ruleset: Ruleset, own_schema: str | None) -> Sequence[Statement]:
    """In the guard's place: splits the text and refuses nothing."""
    try:
        tree = parser.parse(sql) if len(sql) < 10_000 else None
    except Exception:  # noqa: BLE001  PostgreSQL shall refuse it
        tree = None
    if tree is None or not tree.stmts:
        return (_statement(Kind.SELECT, sql, 1, None, returning=False),)
    found, data = [], sql.encode()
    for number, raw in enumerate(tree.stmts, 1):
        end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(data)
        which = raw.stmt.WhichOneof("node")
        kind, node = _KINDS.get(which, Kind.SELECT), getattr(raw.stmt, which)
        target = None
        if kind is Kind.INSERT:
            relation = node.relation
            target = relation.alias.aliasname if relation.HasField("alias") else relation.relname
        returning = kind is not Kind.SELECT and node.HasField("returning_clause")
        text = data[raw.stmt_location : end].decode()
        found.append(_statement(kind, text, number, target, returning=returning))
    return found


def _statement(
    kind: Kind, sql: str, number: int, target: str | None, *, returning: bool
) -> Statement:
    return Statement(
        kind,
        sql,
        number,
        0,
        False,
        (),
        returning,
        True,
        only_reads=False,
        lists_rows=False,
        target=target,
        weighs_constants=True,
    )


@dataclass
class Service:
    """A service with the corpora's world in it."""

    services: Services
    catalog: asyncpg.Connection
    admin: Api
    owner: Api
    app: Api
    features: frozenset[str]
    other_id: int = 0
    other_schema: str = ""

    async def world(self) -> "World":
        """A new attacked database."""
        database_id = await self.owner.create(f"a{secrets.token_hex(5)}", uid=OWNER)
        await self._must(
            self.owner, "exec_ddl", database_id=database_id, uid=OWNER, ddl=corpus.TABLES
        )
        await self._must(self.owner, "grant_app", database_id=database_id, uid=OWNER, app_id=APP)
        for who, rows in (
            (Who.MALLORY, corpus.ROWS_OF_MALLORY),
            (Who.VICTIM, corpus.ROWS_OF_VICTIM),
        ):
            await self._must(
                self.app,
                "exec_dml",
                database_id=database_id,
                uid=who.value,
                env="prod",
                dml=rows,
            )
        detail = await self.owner.get(f"databases/{database_id}")
        names = {each["env"]: each["schema_name"] for each in detail.data["schemas"]}
        return World(self, database_id, names["prod"], names["test"])

    async def build_other(self) -> None:
        """Another tenant's database."""
        self.other_id = await self.admin.create("other", uid=NEIGHBOUR)
        at: dict[str, Any] = {"database_id": self.other_id, "uid": NEIGHBOUR}
        await self._must(self.admin, "exec_ddl", **at, ddl=corpus.TABLES_OF_OTHER)
        await self._must(self.admin, "exec_dml", **at, env="prod", dml=corpus.ROWS_OF_OTHER)
        detail = await self.admin.get(f"databases/{self.other_id}")
        self.other_schema = next(
            each["schema_name"] for each in detail.data["schemas"] if each["env"] == "prod"
        )

    async def _must(self, api: Api, action: str, /, **fields: Any) -> None:
        # The limits are for attacks; a busy machine may be too slow for them now and then.
        for _ in range(3):
            done = await api.post(action, **fields)
            if done.code != StatementTimeout.code:
                break
        assert done.code == 0, done.body

    async def digest(self, world: "World") -> dict[str, Any]:
        """What no attack may change, as PostgreSQL has it."""
        return {
            "other": await self.catalog.fetch(f'SELECT * FROM "{self.other_schema}".secrets'),
            "keys": await self.catalog.fetch(
                "SELECT id, prefix, secret_hash, scopes, uid, revoked_at FROM pgtwin.api_key"
                " ORDER BY id"
            ),
            "databases": await self.catalog.fetch(
                "SELECT id, uid, name, space_id, status, deleted_at FROM pgtwin.database_meta"
                " WHERE id <> ALL ($1::bigint[]) ORDER BY id",
                [world.database_id, *world.clones],
            ),
            "roles": await self.catalog.fetch(
                "SELECT rolname, rolsuper, rolcreaterole, rolbypassrls, rolcanlogin FROM pg_roles"
                " WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls"
                " OR rolname !~ '^(d[0-9]+_|pg_)' ORDER BY rolname"
            ),
            "members": await self.catalog.fetch(
                "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members"
                " WHERE member::regrole::text !~ '^d[0-9]+_ddl$'"
                " AND member::regrole::text NOT LIKE 'pg_%' ORDER BY 1, 2"
            ),
            "schemas": await self.catalog.fetch(
                "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(prod|test|pg)_' ORDER BY 1"
            ),
            "settings": await self.catalog.fetch(
                "SELECT setdatabase, setrole FROM pg_db_role_setting"
                " WHERE setrole::regrole::text !~ '^d[0-9]+_' ORDER BY 1, 2"
            ),
        }


@dataclass
class World:
    """One attacked database."""

    service: Service
    database_id: int
    schema: str
    test_schema: str

    def __post_init__(self) -> None:
        self.clones: list[int] = []

    @property
    def words(self) -> dict[str, str]:
        own = self.database_id
        return {
            "own_schema": self.schema,
            "own_test_schema": self.test_schema,
            "other_schema": self.service.other_schema,
            "other_role": f"d{self.service.other_id}_prod",
            "own_ddl_role": f"d{own}_ddl",
            "own_owner_role": f"d{own}_prod",
            "own_app_role": f"d{own}_prod_app",
            "victim_uid": "victim",
            "victim_prefixed": f"{APP}:victim",
            "attacker_uid": "mallory",
            "app_id": APP,
            "database_id": str(own),
            "other_database_id": str(self.service.other_id),
        }

    async def run(self, step: Step) -> tuple[Answer, float]:
        """Make a call; gives its answer and the seconds that it took."""
        started = time.perf_counter()
        fields: dict[str, Any] = {"database_id": self.database_id, "uid": step.who.value}
        api = self.service.owner if step.who is Who.OWNER else self.service.app
        if step.call is Call.CLONE:
            name = f"c{secrets.token_hex(5)}"
            action, more = "clone_database", dict[str, Any](new_database_name=name)
        elif step.call is Call.DDL:
            more = {"ddl": step.sql} | ({"as": "owner"} if step.acting is Acting.OWNER else {})
            # A schema's name is that of one environment.
            more |= {"env": step.env} if self.schema in step.sql else {}
            action = "exec_ddl"
        else:
            more = {"dml": step.sql, "env": step.env, "as": step.acting.value, "rows": "arrays"}
            more |= {"params": list(step.params)} if step.params else {}
            more |= {"app_id": APP} if step.acting is Acting.END_USER else {}
            action = "exec_dml"
        try:
            got = await api.post(action, fields | more)
        except UnicodeEncodeError:
            got = Answer(422, {"code": 25000, "message": "no UTF-8"}, httpx.Headers())
        if step.call is Call.CLONE and got.code == 0:
            self.clones.append(int(got.data["database_id"]))
        return got, time.perf_counter() - started

    async def problem(self, case: Case, *, is_attack: bool, has_guard: bool) -> str | None:
        """What differs from what a case expects, and what it has broken."""
        before = await self.service.digest(self) if is_attack else {}
        for step in case.filled(self.words).steps:
            got, seconds = await self.run(step)
            is_case = step.sql == case.filled(self.words).sql
            shown = f"{got.body} to {step.sql[:200]}"
            if seconds > case.seconds:
                return f"takes {seconds:.1f} s: {shown}"
            if leaked(step, got):
                return f"leaks: {shown}"
            if got.status >= 500 and not got.error.get("retryable"):
                return f"fails: {shown}"
            if step.expect is Expect.OK and got.code != 0:
                return f"does not work: {shown}"
            if step.expect is Expect.REFUSED and got.code == 0 and has_guard:
                return f"is not refused: {shown}"
            if is_case and has_guard and case.code and got.code != case.code:
                return f"is not {case.code}: {shown}"
            if step.expect is Expect.OK and (wrong := _wrong_rows(step, got)):
                return f"{wrong}: {step.sql[:200]}"
        if is_attack:
            return await self._broken(before)
        return None

    async def _broken(self, before: dict[str, Any]) -> str | None:
        after = await self.service.digest(self)
        changed = [name for name, value in after.items() if value != before[name]]
        if changed:
            return f"changes {', '.join(changed)}"
        for who in (Who.MALLORY, Who.VICTIM):
            asked = Step(who=who, sql="SELECT DISTINCT uid FROM notes")
            got, seconds = await self.run(asked)
            if seconds > corpus.DEFAULT_SECONDS:
                return f"{who} waits {seconds:.1f} s then"
            if got.code == 0 and {row[0] for row in got.data["exec_success"]} - {f"{APP}:{who}"}:
                return f"{who} sees rows of others then: {got.data}"
        return None


def leaked(step: Step, got: Answer) -> bool:
    """Whether a canary is shown to whom it must not be."""
    text = repr(got.body)
    by_right = step.who is not Who.MALLORY or step.acting is Acting.OWNER
    canaries = [corpus.CANARY_OF_OTHER, *([] if by_right else [corpus.CANARY_OF_VICTIM])]
    return any(canary in text and canary not in step.sql for canary in canaries)


def _wrong_rows(step: Step, got: Answer) -> str | None:
    if step.call is not Call.DML or (step.rows is None and step.count is None):
        return None
    last = got.data["statements"][-1]
    rows = got.data["exec_success"][last["first_row"] :]
    if step.rows is not None and rows != step.rows:
        return f"gives {rows}, not {step.rows}"
    if step.count is not None and len(rows) != step.count:
        return f"gives {len(rows)} rows, not {step.count}"
    return None


async def service(stack: AsyncExitStack, mode: Mode) -> Service:
    """Start a service in a mode on a server of its own; the stack ends both.

    Nobody else makes roles there, so that any change of them is an attack's.
    """
    admin_url = embedded_server(stack, major=mode.major)
    settings = await stack.enter_async_context(
        control_database(admin_url, harden=mode.is_hardened, **LIMITS)
    )
    name = urlsplit(settings.dsn or "").path.lstrip("/")
    catalog = await asyncpg.connect(with_database(admin_url, name))
    stack.push_async_callback(catalog.close)
    app = create_app(settings)
    services: Services = app.state.services
    if not mode.has_guard:
        services.statements._judge = admit_all
    await stack.enter_async_context(app.router.lifespan_context(app))
    apis = []
    for wanted in (
        NewKey(uid=None, scopes=frozenset({Scope.ADMIN})),
        NewKey(uid=OWNER, scopes=USUAL),
        NewKey(uid=None, scopes=frozenset({Scope.SQL_DML}), app_id=APP),
    ):
        _, token = await services.database.transaction(
            lambda session, wanted=wanted: services.api_keys(session).create(wanted)  # type: ignore[misc]
        )
        client = await stack.enter_async_context(http_client(app, Authorization=f"Bearer {token}"))
        apis.append(Api(client))
    rows = await catalog.fetch("SELECT extname FROM pg_extension")
    major = catalog.get_server_version().major
    features = {row[0] for row in rows} | {f"pg{number}" for number in range(15, major + 1)}
    if mode.is_hardened:
        features.add("superuser_hardening")
    if mode.has_guard:
        features.add("guard")
    admin, owner, app_api = apis
    made = Service(services, catalog, admin, owner, app_api, frozenset(features))
    await made.build_other()
    return made
