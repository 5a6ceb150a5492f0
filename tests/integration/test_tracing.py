"""Traces over OTLP, and slow statements in the log."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from fastapi import FastAPI

from core.errors import AppError
from core.postgres.engine import Session
from core.settings import Settings
from memory.services import Services
from tests.api import Api
from tests.conftest import http_client, running
from tests.integration.test_transactions import admin_api, database
from tests.otlp import Collector, attributes, collecting

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENT, SERVER, ERROR = 3, 2, 2


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@asynccontextmanager
async def traced(settings: Settings, url: str) -> AsyncIterator[FastAPI]:
    """A service that sends its traces; all of them have arrived at its end."""
    async with running(settings.model_copy(update={"otlp_endpoint": url})) as app:
        yield app


async def test_a_request_is_a_span_under_its_caller(
    settings: Settings, collector: Collector, uid: str
) -> None:
    async with traced(settings, collector.url) as app, http_client(app) as client:
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=x"}
        response = await client.get(f"/v1/databases/{2**40}?uid={uid}", headers=headers)
    span = collector.named("GET /v1/databases/{database_id}")
    assert span.kind == SERVER
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
    assert response.json()["sid"] == TRACE
    assert response.headers["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.route": "/v1/databases/{database_id}",
        "http.response.status_code": 401,
        "pgtwin.code": 25020,
    }
    assert uid not in str(collector.spans)


@pytest.mark.parametrize("header", [None, "nonsense", f"00-{TRACE}-{'0' * 16}-01"])
async def test_without_a_usable_caller_the_sid_is_the_trace(
    settings: Settings, collector: Collector, header: str | None
) -> None:
    async with traced(settings, collector.url) as app, http_client(app) as client:
        response = await client.get("/nowhere", headers={"traceparent": header} if header else {})
    span = collector.named("GET other")
    assert span.parent_span_id == b""
    assert span.trace_id.hex() == response.json()["sid"]


async def test_a_caller_that_does_not_sample_gets_no_spans(
    settings: Settings, collector: Collector
) -> None:
    async with traced(settings, collector.url) as app, http_client(app) as client:
        response = await client.get("/", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
    assert collector.received == []
    assert response.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert response.headers["traceparent"].endswith("-00")


async def test_statements_are_spans_without_values_and_names(
    settings: Settings, collector: Collector, uid: str
) -> None:
    async with traced(settings, collector.url) as app:
        api = await admin_api(app)
        database_id = await api.create("nameoftest", uid=uid, description="what nobody reads")
        await api.client.aclose()
    request = collector.named("POST /v1/create_database")
    statements = [span for span in collector.spans if span.kind == CLIENT]
    assert {span.trace_id for span in statements} == {request.trace_id}
    assert {span.parent_span_id for span in statements} == {request.span_id}
    texts = [attributes(span)["db.query.text"] for span in statements]
    assert [span.name for span in statements if span.name == "INSERT"]
    [made] = [shown for shown in texts if "create_roles" in shown]
    assert made.startswith("SELECT pgtwin_admin.create_roles(?, ...); CREATE SCHEMA")
    assert "COMMIT" in texts
    sent = str(collector.spans)
    assert [word for word in (uid, str(database_id), "nameoftest", "nobody") if word in sent] == []
    assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in statements)


async def test_a_statement_that_fails_says_how_and_no_more(
    settings: Settings, collector: Collector
) -> None:
    async with traced(settings, collector.url) as app:
        services: Services = app.state.services
        assert services.tracing is not None

        async def fail(session: Session) -> None:
            await session.fetch("SELECT 'a secret'::int")

        with services.tracing.operation("test", 1), pytest.raises(AppError):
            await services.database.transaction(fail)
    [statement] = [span for span in collector.spans if span.kind == CLIENT and span.status.code]
    assert statement.status.code == ERROR
    assert attributes(statement)["error.type"] == "22P02"
    assert "secret" not in str(collector.spans)


async def test_an_operation_is_a_span_under_its_request(
    settings: Settings, collector: Collector, uid: str
) -> None:
    async with traced(settings, collector.url) as app:
        api = await admin_api(app)
        source = await api.create("orders", uid=uid)
        cloned = await clone(api, source, uid)
        assert cloned.code == 0, cloned.body
        await api.client.aclose()
    operation = collector.named("operation clone_database")
    request = collector.named("POST /v1/clone_database")
    assert operation.trace_id.hex() == cloned.body["sid"]
    assert operation.parent_span_id == request.span_id
    assert attributes(operation)["pgtwin.operation.id"] == cloned.data["operation_id_str"]
    assert operation.status.code == 0
    assert [span for span in collector.spans if span.parent_span_id == operation.span_id]


async def clone(api: Api, source: int, uid: str) -> Any:
    return await api.post("clone_database", database_id=source, uid=uid, new_database_name="copied")


async def test_an_error_of_the_service_fails_the_span(
    settings: Settings, collector: Collector
) -> None:
    async with traced(settings, collector.url) as app:
        services: Services = app.state.services
        api = await admin_api(app)
        services.ids.release()
        answer = await api.post("create_database", database_name="orders", uid="u")
        await api.client.aclose()
    assert answer.status == 503
    span = collector.named("POST /v1/create_database")
    assert span.status.code == ERROR
    assert attributes(span)["error.type"] == "ids_unavailable"


async def test_a_collector_that_is_gone_hurts_no_request(settings: Settings) -> None:
    async with traced(settings, "http://127.0.0.1:1") as app, http_client(app) as client:
        for _ in range(3):
            assert (await client.get("/healthz")).status_code == 200


OFF = """
import sys
from pydantic import SecretStr
from core.settings import Settings
from memory.app import create_app
import memory.cli.serving

url, secret = SecretStr("postgresql://u@h/d"), SecretStr("x" * 32)
create_app(Settings(DATABASE_URL=url, master_secret=secret))
unwanted = ("opentelemetry.sdk", "opentelemetry.exporter", "core.tracing")
print([name for name in sys.modules if name.startswith(unwanted)])
"""


def test_without_an_endpoint_nothing_of_it_is_imported() -> None:
    """FastAPI imports the API, which does nothing; the SDK and the exporter are what costs."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    outcome = subprocess.run(
        [sys.executable, "-c", OFF], capture_output=True, text=True, env=environment, timeout=60
    )
    assert (outcome.stdout, outcome.stderr) == ("[]\n", "")


async def test_fastapis_own_telemetry_stays_off(
    settings: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would send paths and queries, with their ids and uids."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    async with running(settings) as app, http_client(app) as client:
        response = await client.get("/v1/databases?uid=alice")
    assert "traceparent" not in response.headers
    assert collector.received == []


# Slow statements.


async def slow(
    settings: Settings, caplog: pytest.LogCaptureFixture, statement: str, ms: float
) -> Any:
    async def work(session: Session) -> None:
        await session.fetchrow(statement, "a parameter")

    with caplog.at_level("WARNING", logger="pgtwin.statements"):
        async with database(settings, slow_query_ms=ms) as made:
            with suppress(AppError):
                await made.transaction(work)
    return [record.msg for record in caplog.records if record.name == "pgtwin.statements"]


SLOW = "SELECT pg_sleep(0.02), 'a literal', $1::text"


async def test_a_slow_statement_is_logged_without_its_values(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    [line] = await slow(settings, caplog, SLOW, 10)
    assert line["event"] == "slow statement"
    assert line["statement"] == "SELECT pg_sleep(?), ?, ..."
    assert len(line["fingerprint"]) == 16
    assert line["duration_ms"] >= 20
    assert "literal" not in str(line)
    assert "parameter" not in str(line)


async def test_a_slow_statement_that_fails_is_logged_with_its_sqlstate(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    failing = "SELECT CAST(pg_sleep(0.02)::text || 'a literal' || $1::text AS int)"
    [line] = await slow(settings, caplog, failing, 10)
    assert line["error"] == "22P02"
    assert "a literal" not in str(line)


@pytest.mark.parametrize("ms", [0, 600_000])
async def test_others_are_not_logged(
    settings: Settings, caplog: pytest.LogCaptureFixture, ms: float
) -> None:
    assert await slow(settings, caplog, SLOW, ms) == []
