"""The corpora's world on a bare PostgreSQL, without the service: is each case what it says it is?

Roles, row security and the stamp are rebuilt here in their plainest form, so that a statement's
syntax, its rights and its rows are proved by PostgreSQL itself.
"""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import UUID

import asyncpg

from tests.acceptance.sql import corpus
from tests.acceptance.sql.corpus import Acting, Call, Expect, Step, Who
from tests.conftest import with_database

# Its stubs have syntax errors that stop mypy, so it is imported where mypy does not look.
parser: Any = import_module("postgast")
STAND_IN = (corpus.FOLDER / "world" / "stand_in.sql").read_text()
# Roles belong to the whole server, where other tests run at the same time.
_OWN, _OTHER = (2**31 + secrets.randbelow(2**31) for _ in range(2))
WORDS = {
    "own_schema": f"prod_owner_{_OWN}",
    "own_test_schema": f"test_owner_{_OWN}",
    "other_schema": f"prod_neighbour_{_OTHER}",
    "other_role": f"d{_OTHER}_prod",
    "own_ddl_role": f"d{_OWN}_ddl",
    "own_owner_role": f"d{_OWN}_prod",
    "own_app_role": f"d{_OWN}_prod_app",
    "victim_uid": "victim",
    "victim_prefixed": "app1:victim",
    "attacker_uid": "mallory",
    "app_id": "app1",
    "database_id": str(_OWN),
    "other_database_id": str(_OTHER),
}
_ROLES = {
    env: {Acting.OWNER: f"d{_OWN}_{env}", Acting.END_USER: f"d{_OWN}_{env}_app"}
    for env in ("prod", "test")
}


@dataclass
class Answer:
    names: list[str]
    rows: list[list[Any]]
    status: str


@dataclass
class World:
    """One attacked database; every step runs in the transaction that the caller rolls back."""

    connection: Any

    async def run(self, step: Step) -> Answer:
        step = step.filled(WORDS)
        if step.call is Call.CLONE:
            return Answer([], [], "")
        acting = Acting.OWNER if step.call is Call.DDL else step.acting
        uid = WORDS["victim_uid" if step.who is Who.VICTIM else "attacker_uid"]
        await self.become(step.env, acting, f"{WORDS['app_id']}:{uid}|{uid}")
        answer = await self._statements(step)
        await self.connection.execute("RESET ROLE")
        return answer

    async def become(self, env: str, acting: Acting, ctx: str) -> None:
        await self.connection.execute(
            f"SET LOCAL search_path = {env}_owner_{_OWN}, pgtwin_ext;"
            f"SET LOCAL ROLE {_ROLES[env][acting]}"
        )
        await self.connection.fetch("SELECT set_config('pgtwin.ctx', $1, true)", ctx)

    async def _statements(self, step: Step) -> Answer:
        answer = Answer([], [], "")
        for sql in statements(step.sql):
            prepared = await self.connection.prepare(sql)
            params = _typed(step.params, prepared) if prepared.get_parameters() else []
            records = await prepared.fetch(*params)
            attributes = prepared.get_attributes()
            types = [attribute.type.name for attribute in attributes]
            rows = [[_wire(*pair) for pair in zip(row, types, strict=True)] for row in records]
            answer = Answer([a.name for a in attributes], rows, prepared.get_statusmsg())
            if step.call is Call.DDL:
                await self.admit()
        return answer

    async def admit(self) -> None:
        role = await self.connection.fetchval("SELECT current_user")
        await self.connection.execute("RESET ROLE")
        for env in ("prod", "test"):
            await self.connection.execute(
                f"CALL stand_in_rt.admit('{env}_owner_{_OWN}', 'd{_OWN}_{env}_app')"
            )
        await self.connection.execute(f"SET LOCAL ROLE {role}")


def statements(sql: str) -> list[str]:
    """The statements of a text; one that does not parse is left whole, for PostgreSQL to refuse."""
    try:
        tree = parser.parse(sql)
    except parser.PgQueryError:
        return [sql]
    raw = sql.encode()
    spans = [
        (s.stmt_location, s.stmt_location + s.stmt_len if s.stmt_len else len(raw))
        for s in tree.stmts
    ]
    return [raw[start:end].decode() for start, end in spans]


def _same(value: Any) -> Any:
    return value


def _interval(text: str) -> Any:
    return timedelta(days=int(text.split()[0]))


def _typed(params: tuple[Any, ...], prepared: Any) -> list[Any]:
    """Parameters as their types want them: from JSON, as a client sends them."""
    makers: dict[str, Callable[[Any], Any]] = {
        "timestamp": datetime.fromisoformat,
        "date": date.fromisoformat,
        "numeric": Decimal,
        "text": str,
        "varchar": str,
        "interval": _interval,
    }
    wanted = [makers.get(parameter.name, _same) for parameter in prepared.get_parameters()]
    return [
        None if value is None else maker(value) for maker, value in zip(wanted, params, strict=True)
    ]


def _wire(value: Any, kind: str) -> Any:
    """A value as the API gives it."""
    if value is None:
        return None
    if kind in ("json", "jsonb"):
        return json.loads(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    return value


async def problem_of(stand_in: World, steps: tuple[Step, ...]) -> str | None:
    """What differs from what is expected; nothing of it stays."""
    transaction = stand_in.connection.transaction()
    await transaction.start()
    try:
        for step in steps:
            if problem := await _differs(stand_in, step):
                return f"{problem} in {step.sql}"
        return None
    finally:
        await transaction.rollback()


async def _differs(stand_in: World, step: Step) -> str | None:
    step = step.filled(WORDS)
    inner = stand_in.connection.transaction()
    await inner.start()
    try:
        answer = await stand_in.run(step)
    except asyncpg.PostgresError as error:
        await inner.rollback()
        if leaked := _leaks(step, str(error)):
            return leaked
        return None if step.expect is not Expect.OK else f"{type(error).__name__}: {error}"
    await inner.commit()
    if leaked := _leaks(step, repr(answer.rows)):
        return leaked
    if step.expect is Expect.REFUSED:
        return "is not refused"
    if step.rows is not None and answer.rows != step.rows:
        return f"gives {answer.rows}"
    if step.rows is not None and len(set(answer.names)) < len(answer.names):
        return "has two columns of one name, and rows are objects"
    if step.count is not None and _count(step, answer) != step.count:
        return f"gives {_count(step, answer)} rows"
    return None


def _count(step: Step, answer: Answer) -> int:
    inserted = step.call is Call.DML and answer.status.startswith("INSERT") and not answer.rows
    return int(answer.status.split()[-1]) if inserted else len(answer.rows)


def _leaks(step: Step, text: str) -> str | None:
    """A canary that the caller must not see; an owner and the victim may see the victim's."""
    seen_by_right = step.who is not Who.MALLORY or step.acting is Acting.OWNER
    canaries = (corpus.CANARY_OF_OTHER, *(() if seen_by_right else (corpus.CANARY_OF_VICTIM,)))
    shown = [canary for canary in canaries if canary in text]
    return f"leaks {text}" if shown else None


@asynccontextmanager
async def world(admin_url: str) -> AsyncIterator[World]:
    """A database with the corpora's tables and rows, dropped at the end."""
    name = f"sql_corpus_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(admin_url)
    await admin.execute(f"CREATE DATABASE {name}")
    connection = await asyncpg.connect(with_database(admin_url, name), statement_cache_size=0)
    try:
        # Its roles belong to the whole server, where other tests run: nothing is committed.
        transaction = connection.transaction()
        await transaction.start()
        built = World(connection)
        await _build(built)
        yield built
    finally:
        await connection.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def _build(built: World) -> None:
    connection = built.connection
    await connection.execute(STAND_IN)
    await connection.execute("CREATE SCHEMA pgtwin_ext; GRANT USAGE ON SCHEMA pgtwin_ext TO PUBLIC")
    if await connection.fetchval("SELECT true FROM pg_available_extensions WHERE name = 'vector'"):
        await connection.execute("CREATE EXTENSION vector SCHEMA pgtwin_ext")
    other, schema = WORDS["other_role"], WORDS["other_schema"]
    await connection.execute(f"CREATE ROLE {other}; CREATE ROLE {WORDS['own_ddl_role']}")
    for env in ("prod", "test"):
        owner, app = _ROLES[env][Acting.OWNER], _ROLES[env][Acting.END_USER]
        own = f"{env}_owner_{_OWN}"
        await connection.execute(
            f"CREATE ROLE {owner}; CREATE ROLE {app}; CREATE SCHEMA {own};"
            f"GRANT USAGE, CREATE ON SCHEMA {own} TO {owner}; GRANT USAGE ON SCHEMA {own} TO {app}"
        )
    for env in ("prod", "test"):
        await built.run(Step(call=Call.DDL, env=env, sql=corpus.TABLES))
    await connection.execute(
        f"CREATE SCHEMA {schema} AUTHORIZATION {other}; SET LOCAL search_path = {schema};"
        + corpus.TABLES_OF_OTHER
        + corpus.ROWS_OF_OTHER
    )
    await built.run(Step(sql=corpus.ROWS_OF_MALLORY))
    await built.run(Step(who=Who.VICTIM, sql=corpus.ROWS_OF_VICTIM))
