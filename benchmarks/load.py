"""The clients of the soak: what they call, and what they must be answered."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

OK = "ok"
UNKNOWN_ID = 2**62
SOURCE = (
    "CREATE TABLE customers (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE);"
    "CREATE TABLE orders (id bigserial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers,"
    " amount numeric(12, 2), at timestamptz DEFAULT now());"
    "CREATE INDEX ON orders (customer, at);"
    "CREATE VIEW totals AS SELECT customer, sum(amount) FROM orders GROUP BY customer;"
    "INSERT INTO customers (name) SELECT 'n' || g FROM generate_series(1, 20) g;"
    "INSERT INTO orders (customer, amount) SELECT 1 + g % 20, g FROM generate_series(1, 100) g;"
)
SOURCE_TABLES = 2
NOTES = "CREATE TABLE notes (n int PRIMARY KEY, body text NOT NULL)"
NOTE = "INSERT INTO notes VALUES ($1, $2)"
NOTE_TABLES = 1
STANDING = 3
CLONE_EVERY, NEW_KEY_EVERY = 8, 12
# How often a revoked key may still be seen to read; a look takes 50 ms and more.
HEARD_LOOKS = 60

_JSON = {"Content-Type": "application/json"}
_CLONE_OF_NOTHING = {"database_id": UNKNOWN_ID, "new_database_name": "copy"}
_OF_ANOTHER = {"database_name": "other", "uid": "somebody"}
_MISTAKES: list[tuple[str, str, dict[str, Any]]] = [
    ("create_database", "invalid_request", {"json": {"database_name": "1 2"}}),
    ("create_database", "invalid_request", {"json": {}}),
    ("create_database", "unreadable", {"content": b"{", "headers": _JSON}),
    ("create_database", "unsupported_media_type", {"content": b"x"}),
    ("create_database", "not_authorized", {"json": _OF_ANOTHER}),
    ("drop_database", "database_not_found", {"json": {"database_id": UNKNOWN_ID}}),
    ("clone_database", "database_not_found", {"json": _CLONE_OF_NOTHING}),
    (
        "exec_dml",
        "database_not_found",
        {"json": {"database_id": UNKNOWN_ID, "env": "prod", "dml": "SELECT 1"}},
    ),
    ("nothing_of_the_kind", "route_not_found", {"json": {}}),
]


@dataclass(slots=True)
class Record:
    """What was called, how long it took, and what should not have been answered.

    Attributes:
        calls: name, end (seconds of the monotonic clock) and duration (seconds) of each call.
        surprises: one line for each answer that was not the expected one.
    """

    calls: list[tuple[str, float, float]] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Keys:
    """How keys are made and ended: they are the operator's, not the API's."""

    make: Callable[[str], Awaitable[str]]
    revoke: Callable[[str], Awaitable[None]]


class Client:
    """A user with databases, who goes through everything that the service can do.

    Args:
        fill: puts `SOURCE` into both schemas of a database.
        pause: mean time between two rounds of calls, in seconds.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        keys: Keys,
        fill: Callable[[str, int], Awaitable[None]],
        record: Record,
        number: int,
        pause: float,
    ) -> None:
        self._http = http
        self._keys = keys
        self._fill = fill
        self._record = record
        self._pause = pause
        self._random = random.Random(number)  # noqa: S311
        self._uid = f"soak{number}"
        self._key = ""
        self._names = 0
        self._source = 0

    async def run(self, until: float) -> None:
        """Call until a time of the monotonic clock, then leave nothing behind."""
        self._key = await self._keys.make(self._uid)
        self._source = await self._create()
        await self._fill(self._uid, self._source)
        for _ in range(STANDING - 1):
            await self._create()
        rounds = self._random.randrange(CLONE_EVERY)
        while time.monotonic() < until:
            rounds += 1
            await self._round()
            if rounds % CLONE_EVERY == 0:
                await self._clone()
            if rounds % NEW_KEY_EVERY == 0:
                await self._change_key()
            await asyncio.sleep(self._random.uniform(0, 2 * self._pause))
        while found := (await self._call("list", "GET", "databases")).get("databases"):
            for database in found:
                await self._drop(database["database_id"])

    async def _round(self) -> None:
        database = await self._create()
        await self._describe(database, tables=0)
        await self._call(
            "modify",
            "POST",
            "modify_db_description",
            json={"database_id": database, "description": f"as of {time.time():.0f}"},
        )
        await self._work(database)
        await self._list()
        await self._mistake()
        await self._drop(database)

    async def _work(self, database: int) -> None:
        """SQL in both environments, and SQL that fails."""
        body: dict[str, Any] = {"database_id": database, "ddl": NOTES}
        await self._call("ddl", "POST", "exec_ddl", json=body)
        await self._describe(database, tables=NOTE_TABLES)
        for env in ("prod", "test"):
            body = {"database_id": database, "env": env}
            notes = [[1, env], [2, "two"]]
            await self._call("dml", "POST", "exec_dml", json=body | {"dml": NOTE, "params": notes})
            twice = body | {"dml": NOTE, "params": notes[0]}
            await self._call("wrong", "POST", "exec_dml", "constraint_violated", json=twice)
            read = body | {"dml": "SELECT body FROM notes ORDER BY n"}
            rows = (await self._call("dml", "POST", "exec_dml", json=read)).get("exec_success")
            if rows != [{"body": env}, {"body": "two"}]:
                self._record.surprises.append(f"dml: not the rows of {env} but {rows}")

    async def _create(self) -> int:
        body = {"database_name": self._new_name()}
        return int(
            (await self._call("create", "POST", "create_database", json=body))["database_id"]
        )

    async def _describe(self, database: int, tables: int) -> None:
        found = await self._call("describe", "GET", f"databases/{database}")
        if [schema["tables"] for schema in found["schemas"]] != [tables, tables]:
            self._record.surprises.append(f"describe: not {tables} tables but {found['schemas']}")

    async def _list(self) -> None:
        seen: list[int] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            page = await self._call("list", "GET", "databases", params=query)
            seen += [database["database_id"] for database in page["databases"]]
            if not page["next_cursor"]:
                break
            query["cursor"] = page["next_cursor"]
        if len(seen) != STANDING + 1 or self._source not in seen:
            self._record.surprises.append(f"list: {STANDING + 1} databases expected, got {seen}")

    async def _clone(self) -> None:
        body = {"database_id": self._source, "new_database_name": self._new_name()}
        clone = await self._call("clone", "POST", "clone_database", json=body)
        operation = await self._call("operation", "GET", f"operations/{clone['operation_id']}")
        if operation["state"] != "finished":
            self._record.surprises.append(f"clone: its operation is {operation['state']}")
        await self._describe(clone["database_id"], tables=SOURCE_TABLES)
        await self._drop(clone["database_id"])

    async def _drop(self, database: int) -> None:
        await self._call("drop", "POST", "drop_database", json={"database_id": database})

    async def _change_key(self) -> None:
        old, self._key = self._key, await self._keys.make(self._uid)
        await self._keys.revoke(old)
        body = {"database_name": self._new_name()}
        await self._call(
            "wrong", "POST", "create_database", "not_authenticated", key=old, json=body
        )
        # Readers hear of it a moment later.
        for _ in range(HEARD_LOOKS):
            if not await self._may_read(old):
                break
            await asyncio.sleep(0.05)
        await self._call("wrong", "GET", "databases", "not_authenticated", key=old)

    async def _may_read(self, key: str) -> bool:
        headers = {"Authorization": f"Bearer {key}"}
        return (await self._http.get("/v1/databases", headers=headers)).status_code == 200

    async def _mistake(self) -> None:
        """One wrong request; each has an answer of its own."""
        path, expected, options = self._random.choice(_MISTAKES)
        await self._call("wrong", "POST", path, expected, **options)

    def _new_name(self) -> str:
        self._names += 1
        return f"d{self._names}"

    async def _call(
        self,
        name: str,
        method: str,
        path: str,
        expected: str = OK,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """The data of an answer, {} without any; noted when it is not the expected one.

        Raises:
            httpx.HTTPError: no answer at all.
        """
        authorization = {"Authorization": f"Bearer {key or self._key}"}
        started = time.monotonic()
        response = await self._http.request(
            method, f"/v1/{path}", headers=authorization | (headers or {}), **options
        )
        ended = time.monotonic()
        self._record.calls.append((name, ended, ended - started))
        body = response.json()
        kind = body["error"]["type"] if "error" in body else OK
        if kind != expected or (response.status_code == 200) != (kind == OK):
            line = f"{method} {path}: {expected} expected, got {response.status_code} {body}"
            self._record.surprises.append(line)
        return dict(body.get("data") or {})
