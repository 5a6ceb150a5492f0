"""/metrics, its documentation, its dashboard, and the health checks."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from core.errors import TransactionConflict
from core.postgres.engine import Session
from core.settings import Settings
from memory.api.middleware import OTHER
from memory.services import Services
from tests.api import Api
from tests.conftest import MakeKey, control_database, http_client, running
from tests.integration.test_transactions import admin_api

REPOSITORY = Path(__file__).resolve().parents[2]
PUBLIC = "192.0.2.1"
TOKEN = "a-token-of-the-tests-for-prometheus"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[FastAPI]:
    """A service that nobody else calls."""
    async with running(settings) as app:
        yield app


async def scraped(app: FastAPI) -> str:
    async with http_client(app) as client:
        response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return response.text


def samples(shown: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
    }


def value(shown: str, name: str, /, **labels: str) -> float | None:
    return samples(shown).get((name, frozenset(labels.items())))


async def test_requests_are_counted_by_route_method_and_code(own: FastAPI, uid: str) -> None:
    api = await admin_api(own)
    first = await api.create("orders", uid=uid)
    assert (await api.post("create_database", database_name="orders", uid=uid)).code == 25010
    for database_id in (first, first, 2**40):
        await api.get(f"databases/{database_id}")
    shown = await scraped(own)
    counted = "pgtwin_http_requests_total"
    create = {"route": "/v1/create_database", "method": "POST"}
    assert value(shown, counted, **create, code="0") == 1
    assert value(shown, counted, **create, code="25010") == 1
    describe = {"route": "/v1/databases/{database_id}", "method": "GET"}
    assert value(shown, counted, **describe, code="0") == 2
    assert value(shown, counted, **describe, code="25013") == 1
    route = {"route": describe["route"]}
    assert value(shown, "pgtwin_http_request_seconds_count", **route) == 3
    assert (value(shown, "pgtwin_http_request_seconds_sum", **route) or 0) > 0
    await api.client.aclose()


async def test_both_mounts_have_routes_of_their_own(own: FastAPI) -> None:
    async with http_client(own) as client:
        await client.post("/xingchen-db/v1/drop_database", json={})
    route = {"route": "/xingchen-db/v1/drop_database", "method": "POST", "code": "25020"}
    assert value(await scraped(own), "pgtwin_http_requests_total", **route) == 1


async def test_whatever_is_called_labels_stay_few_and_name_nobody(own: FastAPI, uid: str) -> None:
    api = await admin_api(own)
    database_id = await api.create("seldomname", uid=uid, space_id=f"space{uid}")
    for method, path in (
        ("GET", f"/{uid}"),
        ("POST", f"/v1/{uid}"),
        ("GET", f"/docs/assets/{uid}"),
        (uid.upper(), "/v1/databases"),
        ("DELETE", f"/v1/databases/{database_id}"),
        ("GET", f"/v1/databases?uid={uid}"),
    ):
        await api.client.request(method, path)
    shown = await scraped(own)
    lowered = shown.lower()
    secrets_of_the_caller = [uid, str(database_id), "seldomname", "pgt_", "space_id"]
    assert [word for word in secrets_of_the_caller if word in lowered] == []
    labels = {label for _, pairs in samples(shown) for label in pairs}
    assert {v for name, v in labels if name == "route"} == {
        "/v1/create_database",
        "/v1/databases",
        OTHER,
    }
    assert {v for name, v in labels if name == "method"} == {"GET", "POST", "DELETE", "OTHER"}
    await api.client.aclose()


async def test_operations_are_counted_by_kind_and_outcome(own: FastAPI, uid: str) -> None:
    api = await admin_api(own)
    source = await api.create("orders", uid=uid)
    ids_before = value(await scraped(own), "pgtwin_ids_total") or 0
    cloned = await api.post(
        "clone_database", database_id=source, uid=uid, new_database_name="copied"
    )
    assert cloned.code == 0, cloned.body
    shown = await scraped(own)
    ran = {"kind": "clone_database", "outcome": "returned"}
    assert value(shown, "pgtwin_operation_runs_total", **ran) == 1
    assert value(shown, "pgtwin_operation_seconds_count", kind="clone_database") == 1
    assert (value(shown, "pgtwin_ids_total") or 0) > ids_before
    await api.client.aclose()


async def test_postgresql_counts_databases_open_operations_and_leases(
    admin_url: str, uid: str
) -> None:
    async with control_database(admin_url) as settings, running(settings) as app:
        api = await admin_api(app)
        for name in ("one", "two"):
            await api.create(name, uid=uid)
        gone = await api.create("gone", uid=uid)
        assert (await api.post("drop_database", database_id=gone, uid=uid)).code == 0
        await services_of(app).database.transaction(add_open_operation)
        shown = await scraped(app)
        await api.client.aclose()
    assert value(shown, "pgtwin_postgres_up") == 1
    assert value(shown, "pgtwin_databases", status="ready") == 2
    open_one = {"kind": "drop_database", "state": "cancelling"}
    assert value(shown, "pgtwin_operations", **open_one) == 1
    assert value(shown, "pgtwin_id_leases") == 1
    assert value(shown, "pgtwin_id_lease_limit") == 1024


def services_of(app: FastAPI) -> Services:
    found: Services = app.state.services
    return found


async def add_open_operation(session: Session) -> None:
    await session.execute(
        "INSERT INTO pgtwin.operation (id, kind, state, uid, database_id, arguments, owner)"
        " VALUES (1, 'drop_database', 'cancelling', 'u', 1, '{}', 'nobody')"
    )


async def test_conflicts_and_the_pool_are_counted(own: FastAPI) -> None:
    database = services_of(own).database

    async def conflict(session: Session) -> None:
        await session.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    before = value(await scraped(own), "pgtwin_pool_wait_seconds_count") or 0
    with pytest.raises(TransactionConflict):
        await database.transaction(conflict)
    shown = await scraped(own)
    assert value(shown, "pgtwin_transaction_reruns_total") == 3
    assert (value(shown, "pgtwin_pool_wait_seconds_count") or 0) >= before + 4
    async with database.engine.connect():
        shown = await scraped(own)
    assert value(shown, "pgtwin_pool_connections_in_use") == 1
    assert value(shown, "pgtwin_pool_connections_limit") == 40


async def test_a_full_pool_shows_and_hides_nothing_else(settings: Settings) -> None:
    small = {"pool_size": 1, "pool_max_overflow": 0}
    async with running(settings.model_copy(update=small)) as app:
        engine = services_of(app).database.engine

        async def wait() -> None:
            async with engine.connect():
                pass

        async with engine.connect():
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            shown = await scraped(app)
        await waiting
    assert value(shown, "pgtwin_pool_connections_in_use") == 1
    # The service's own tasks wait too.
    assert (value(shown, "pgtwin_pool_connections_waiting") or 0) >= 1
    assert value(shown, "pgtwin_postgres_up") == 1
    assert value(shown, "pgtwin_databases", status="ready") is not None


@asynccontextmanager
async def closed(settings: Settings, admin_url: str) -> AsyncIterator[None]:
    """Nobody can connect to the control database, and who was connected is not any more."""
    name = urlsplit(settings.dsn or "").path.lstrip("/")
    administrator = await asyncpg.connect(admin_url)
    try:
        await administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
        )
        yield
    finally:
        await administrator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await administrator.close()


async def test_without_postgresql_a_scrape_has_what_needs_none(admin_url: str) -> None:
    async with (
        control_database(admin_url) as settings,
        running(settings) as app,
        http_client(app) as client,
    ):
        async with closed(settings, admin_url):
            shown = await scraped(app)
            ready, alive = await client.get("/readyz"), await client.get("/healthz")
        async with asyncio.timeout(60):
            again = await client.get("/readyz")
            while again.status_code != 200:
                await asyncio.sleep(0.1)
                again = await client.get("/readyz")
    assert value(shown, "pgtwin_postgres_up") == 0
    assert "pgtwin_databases" not in shown
    assert value(shown, "pgtwin_pool_connections_limit") == 40
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable"})
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert again.json() == {"status": "ok"}


async def test_a_worker_without_ids_is_not_ready(settings: Settings) -> None:
    async with running(settings) as app, http_client(app) as client:
        assert (await client.get("/readyz")).json() == {"status": "ok"}
        services_of(app).ids.release()
        assert (await client.get("/readyz")).status_code == 503


@pytest.mark.parametrize(
    ("host", "token"), [("127.0.0.1", None), (PUBLIC, None), ("::1", TOKEN), (PUBLIC, TOKEN)]
)
async def test_who_may_read_metrics(
    settings: Settings, make_key: MakeKey, host: str, token: str | None
) -> None:
    changed = {"host": host, "metrics_token": SecretStr(token) if token else None}
    is_open = host == "127.0.0.1"
    bearers = {
        "": is_open,
        TOKEN: is_open or token is not None,
        TOKEN[:-1]: is_open,
        await make_key(): True,
        await make_key("u1"): is_open,
    }
    async with running(settings.model_copy(update=changed)) as app, http_client(app) as client:
        for bearer, allowed in bearers.items():
            headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
            response = await client.get("/metrics", headers=headers)
            assert response.status_code in ((200,) if allowed else (401, 403)), bearer
            assert ("pgtwin_" in response.text) is allowed


async def test_a_cache_that_registers_shows(own: FastAPI) -> None:
    cache = {"a": 1, "b": 2}
    metrics = services_of(own).metrics
    assert metrics is not None
    meter = metrics.cache("tests", lambda: len(cache))
    meter.hit()
    meter.hit()
    meter.miss()
    shown = await scraped(own)
    assert value(shown, "pgtwin_cache_hits_total", cache="tests") == 2
    assert value(shown, "pgtwin_cache_misses_total", cache="tests") == 1
    assert value(shown, "pgtwin_cache_entries", cache="tests") == 2


async def test_probes_are_no_part_of_the_contract(admin: Api) -> None:
    paths = (await admin.client.get("/openapi.json")).json()["paths"]
    assert [path for path in paths if not path.startswith("/v1/")] == []


# What is written about the metrics.


def families(shown: str) -> dict[str, str]:
    """The types of what is there, by the names that samples and expressions have."""
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", shown, re.MULTILINE))


def documented() -> dict[str, tuple[str, str]]:
    lines = (REPOSITORY / "docs" / "metrics.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    start = rows.index(["Metric", "Type", "Labels", "Meaning"])
    return {row[0].strip("`"): (row[1], row[2]) for row in rows[start + 2 :] if len(row) == 4}


@pytest.fixture
async def used(own: FastAPI, uid: str) -> str:
    """A scrape after a few calls."""
    api = await admin_api(own)
    source = await api.create("orders", uid=uid)
    await api.post("clone_database", database_id=source, uid=uid, new_database_name="copy1")
    await api.client.aclose()
    return await scraped(own)


async def test_the_documentation_has_each_metric_with_its_type(used: str) -> None:
    kinds = {name: kind for name, (kind, _) in documented().items()}
    assert kinds == families(used)


async def test_the_documentation_has_each_label(used: str) -> None:
    found: dict[str, set[str]] = {}
    for name, pairs in samples(used):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        found.setdefault(base, set()).update(label for label, _ in pairs if label != "le")
    labels = {name: set(re.findall(r"`(\w+)`", given)) for name, (_, given) in documented().items()}
    # None is open in this test.
    assert labels.pop("pgtwin_operations") == {"kind", "state"}
    assert labels == found


def dashboard() -> dict[str, Any]:
    path = REPOSITORY / "docs" / "grafana" / "pgtwin.json"
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


async def test_the_dashboard_asks_for_metrics_that_are_there(used: str) -> None:
    targets = [target for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    assert len(targets) > 20
    asked = {
        name
        for target in targets
        for name in re.findall(r"\b(?:pgtwin|process)_\w+", target["expr"])
    }
    there = families(used)
    buckets = {f"{name}_bucket" for name, kind in there.items() if kind == "histogram"}
    assert asked - set(there) - buckets == set()
    # Nothing of ours is left out of it.
    shown = {re.sub(r"_bucket$", "", name) for name in asked}
    assert {name for name in there if name.startswith("pgtwin_")} - shown == set()


def test_the_dashboard_works_in_any_grafana() -> None:
    loaded = dashboard()
    assert loaded["schemaVersion"] >= 39
    panels = loaded["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {each["name"]: each for each in loaded["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    sources = [
        part["datasource"]
        for panel in panels
        if panel["type"] != "row"
        for part in (panel, *panel["targets"])
    ]
    assert {json.dumps(source) for source in sources} == {
        '{"type": "prometheus", "uid": "${datasource}"}'
    }
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(panels)))
    assert {name for name in used if not name.startswith("__")} == set(variables)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


async def test_a_scrape_is_logged_for_debugging_only(
    own: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="pgtwin.request"):
        await scraped(own)
        async with http_client(own) as client:
            await client.get(f"/{secrets.token_hex(4)}")
    assert len(caplog.records) == 1


async def test_a_probe_without_a_key_reaches_postgresql_once_a_second_at_most(
    own: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long as the test may take.
    monkeypatch.setattr("memory.monitoring.service.ANSWER_SECONDS", 600)
    asked = 0
    monitor = own.state.monitor
    ask = monitor._ask

    async def counted(now: float) -> None:
        nonlocal asked
        asked += 1
        await ask(now)

    monitor._ask = counted
    async with http_client(own) as client:
        answers = await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {httpx.codes.OK}
    assert asked == 1
