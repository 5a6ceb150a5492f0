"""The OpenAPI document is right about itself, and the service is right about the document."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hypothesis
import pytest
import schemathesis
import uvicorn
from fastapi import FastAPI
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from core.settings import AuthMode, Settings
from memory.api_keys.service import NewKey
from memory.app import create_app
from memory.caller import ANY_SPACE, Scope
from tests.conftest import control_database, running

V1, DROP_IN = "/v1", "/xingchen-db/v1"
ACTIONS = ("create_database", "drop_database", "modify_db_description")
STATEMENTS = ("exec_ddl", "exec_dml", "export_data", "upload_data")
GRANTS = ("grant_app", "revoke_app")
LIFECYCLE = (
    "set_expiration",
    "set_labels",
    "set_protection",
    "drop_databases",
    "restore_database",
)
CONNECTIONS = ("create_connection", "rotate_connection", "revoke_connection")
OPERATIONS = [
    *(
        f"POST {V1}/{action}"
        for action in (*ACTIONS, *GRANTS, *STATEMENTS, *CONNECTIONS, *LIFECYCLE)
    ),
    f"GET {V1}/databases",
    f"GET {V1}/databases/{{database_id}}",
    f"GET {V1}/databases/{{database_id}}/connections",
    f"POST {V1}/clone_database",
    f"GET {V1}/operations",
    f"GET {V1}/operations/{{operation_id}}",
    *(f"GET {V1}/databases/{{database_id}}/{read}" for read in ("schema", "ddl", "stats")),
]
FILES = f"POST {V1}/export_data"
# Codes of an operation's own, by its name.
OWN_CODES = {
    "create_database": {25010, 25011},
    "drop_database": {25004, 25012, 25013, 25015},
    **{action: {25013, 25014, 25015} for action in LIFECYCLE[:3]},
    "drop_databases": {25012, 25015},
    "restore_database": {25005, 25014},
    "modify_db_description": {25013, 25014, 25015},
    **{key: {25013, 25014, 25015} for key in GRANTS},
    "exec_ddl": {25013, 25015, 25019, 25021, 25030, 25031, 25040, 25041},
    "exec_dml": {25013, 25015, 25018, 25019, 25021, 25030, 25031, 25050, 25051},
    "upload_data": {25013, 25015, 25019, 25021, 25100, 25200, 25201, 25202, 25300},
    "export_data": {25013, 25015, 25018, 25019, 25021, 25030, 25031, 25050},
    "create_connection": {25013, 25015},
    "rotate_connection": {25015, 25022},
    "revoke_connection": {25015, 25022},
    "connections": {25013},
    "databases": set(),
    "{database_id}": {25013},
    "clone_database": {25011, 25013, 25015},
    "operations": set(),
    "{operation_id}": {25016},
    "schema": {25013, 25018, 25019, 25021},
    "ddl": {25011, 25013, 25018, 25019, 25021},
    "stats": {25013, 25018, 25019, 25021},
}
COMMON_CODES = {25000, 25010, 25020, 25500}
# What an Idempotency-Key adds to every write.
KEY_CODES = {25003, 25017}


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operation(document: dict[str, Any], label: str) -> dict[str, Any]:
    method, path = label.split()
    found: dict[str, Any] = document["paths"][path][method.lower()]
    return found


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference leads to."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def answer_schema(document: dict[str, Any], label: str, status: str) -> dict[str, Any]:
    content = operation(document, label)["responses"][status]["content"]
    return resolved(document, content["application/json"]["schema"])


# What the document says.


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


def test_a_broken_document_would_be_found(document: dict[str, Any]) -> None:
    broken = {**document, "info": {"title": "pgtwin"}}
    with pytest.raises(ValueError, match="version"):
        schemathesis.openapi.from_dict(broken).validate()


def test_all_operations_are_here(document: dict[str, Any]) -> None:
    found = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert found == set(OPERATIONS)


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation(document, label)["operationId"] for label in OPERATIONS]
    assert len(set(ids)) == len(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation_is_described(document: dict[str, Any], label: str) -> None:
    found = operation(document, label)
    assert found["description"].endswith(".")
    assert found["tags"] == ["v1"]


def test_the_security_scheme_is_declared(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert [(scheme["type"], scheme["scheme"]) for scheme in schemes.values()] == [
        ("http", "bearer")
    ]
    for label in OPERATIONS:
        assert [set(way) for way in operation(document, label)["security"]] == [set(schemes)]


@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation_documents_its_own_errors(document: dict[str, Any], label: str) -> None:
    documented: dict[int, set[int]] = {}
    for status, response in operation(document, label)["responses"].items():
        for example in response["content"]["application/json"].get("examples", {}).values():
            value = example["value"]
            assert set(value) == {"code", "message", "sid", "error"}
            assert str(value["code"]) in response["description"]
            documented.setdefault(value["code"], set()).add(int(status))
    of_keys = KEY_CODES if label.startswith("POST") else set()
    assert set(documented) == OWN_CODES[label.rpartition("/")[2]] | COMMON_CODES | of_keys
    assert documented[25020] - {404} == {401, 403}
    of_tables = ("exec_dml", "export_data", "upload_data", "/schema")
    assert (404 in documented[25020]) == label.endswith(of_tables)
    assert documented[25000] >= {400, 422}
    # A name that is taken, a constraint that is violated, a connection that there is no room for
    # or that has ended.
    named = ("create_database", "clone_database", "restore_database")
    conflicts = (*named, "exec_dml", "upload_data", *CONNECTIONS[:2])
    assert (409 in documented[25010]) == label.endswith(conflicts)


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_write_takes_a_key_and_no_read(document: dict[str, Any], label: str) -> None:
    found = operation(document, label)
    keys = [each for each in found.get("parameters", ()) if each["name"] == "Idempotency-Key"]
    replayed = "Idempotency-Replayed" in found["responses"]["200"].get("headers", {})
    if label.startswith("GET"):
        assert (keys, replayed) == ([], False)
        return
    [key] = keys
    assert (key["in"], key["required"], replayed) == ("header", False, True)
    assert "visible ASCII" in key["description"]
    [text] = [each for each in key["schema"]["anyOf"] if each["type"] == "string"]
    assert (text["minLength"], text["maxLength"]) == (1, 255)
    examples = found["responses"]["409"]["content"]["application/json"]["examples"]
    assert "request_in_flight" in examples
    examples = found["responses"]["422"]["content"]["application/json"]["examples"]
    assert {"idempotency_key_reused", "invalid_request"} <= set(examples)


def test_files_have_their_media_types(document: dict[str, Any]) -> None:
    content = operation(document, FILES)["responses"]["200"]["content"]
    assert {"text/csv", "application/json", "application/x-ndjson"} < set(content)


@pytest.mark.parametrize("label", [label for label in OPERATIONS if label != FILES])
def test_answers_are_typed_envelopes(document: dict[str, Any], label: str) -> None:
    envelope = answer_schema(document, label, "200")
    if label.endswith("exec_ddl"):
        bare, envelope = (resolved(document, each) for each in envelope["anyOf"])
        assert "data" not in bare["properties"]
    fields = envelope["properties"]
    assert {name: fields[name]["type"] for name in ("code", "message", "sid")} == {
        "code": "integer",
        "message": "string",
        "sid": "string",
    }
    has_data = not label.endswith(("modify_db_description", "revoke_connection", *GRANTS))
    assert ("data" in fields) is has_data
    if has_data:
        assert "data" in envelope["required"]
        for shape in fields["data"].get("anyOf", [fields["data"]]):
            data = resolved(document, shape)
            assert data["type"] == "object"
            assert data["properties"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("DatabaseRef", {"database_id", "database_id_str"}),
        ("DatabasePage", {"databases", "next_cursor"}),
        ("DatabaseSummary", {"labels", "protected", "expires_at", "dropped_at"}),
        ("DroppedRef", {"database_id", "database_id_str", "restorable_until"}),
        ("DroppedDatabases", {"dropped", "protected", "more"}),
        ("CreateDatabase", {"ttl_seconds", "expires_at", "labels", "protected"}),
        ("CloneDatabase", {"ttl_seconds", "expires_at", "labels", "protected"}),
        ("DatabaseDetail", {"uid", "name", "space_id", "schemas", "create_by", "update_at"}),
        ("Executed", {"exec_success", "exec_failure", "exec_time", "statements"}),
        ("StatementDetail", {"statement", "item", "command", "affected", "columns", "truncated"}),
        ("Uploaded", {"success_rows", "failed_rows", "succeeded", "failed", "exec_time"}),
        ("FailedRow", {"line", "error"}),
        ("UploadData", {"file", "table_name", "mode", "key", "on_error", "format", "as"}),
        ("Rehearsal", {"changes", "locks", "exec_time"}),
        ("SchemaContents", {"env", "tables", "views", "sequences", "enums", "functions"}),
        ("TableInfo", {"name", "kind", "columns", "primary_key", "rows", "size_bytes"}),
        ("SchemaText", {"env", "text"}),
        ("SchemaDdl", {"env", "ddl", "still_names", "hidden", "reordered"}),
        ("SchemaStatistics", {"env", "total", "tables", "slowest"}),
        ("SchemaDetail", {"env", "schema_name", "size_bytes", "tables", "create_at", "update_by"}),
        ("Failure", {"code", "message", "sid", "error"}),
        ("ErrorInfo", {"type", "retryable", "hint", "sqlstate", "details"}),
    ],
)
def test_components_have_fields(document: dict[str, Any], name: str, fields: set[str]) -> None:
    properties = document["components"]["schemas"][name]["properties"]
    assert fields <= set(properties)
    for field in fields:
        assert {"type", "anyOf", "$ref"} & set(properties[field]), field


@pytest.mark.parametrize("name", ["CreateDatabase", "DropDatabase", "ModifyDescription"])
def test_inputs_give_their_limits(document: dict[str, Any], name: str) -> None:
    fields = document["components"]["schemas"][name]["properties"]
    uid = fields["uid"]["anyOf"][0]
    assert (uid["minLength"], uid["maxLength"]) == (1, 64)
    if name == "CreateDatabase":
        assert fields["database_name"]["pattern"] == "^[a-zA-Z][a-zA-Z0-9_]{0,19}$"
    else:
        number = fields["database_id"]["anyOf"][0]
        assert number["minimum"] == 1
        # A float would round the largest id up to one that is refused.
        assert number.get("maximum", 0) <= 2**63 - 1


# What the service does.


@dataclass(frozen=True)
class Served:
    schema: Any
    url: str
    token: str


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """A server in a thread; its socket listens at once, so that no one need wait for it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


async def admin_token(settings: Settings) -> str:
    async with running(settings) as app:
        services = app.state.services
        wanted = NewKey(None, frozenset({Scope.ADMIN}), spaces=frozenset({ANY_SPACE}))
        _, token = await services.database.transaction(
            lambda session: services.api_keys(session).create(wanted)
        )
    return str(token)


def quick_to_generate(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the Chinese characters that its patterns exclude.

    Hypothesis would list them one by one, each time; what is sent stays as the document says,
    but for a uid in Chinese, which is refused.
    """
    text = json.dumps(document, ensure_ascii=False)
    thin: dict[str, Any] = json.loads(re.sub("[\u3400-\U0003ffff]-[\u3400-\U0003ffff]", "", text))
    # The drop-in mount answers otherwise and so is not in the document; it takes the same bodies.
    for action in ACTIONS:
        thin["paths"][f"{DROP_IN}/{action}"] = thin["paths"][f"{V1}/{action}"]
    return thin


@pytest.fixture(scope="module")
async def served(admin_url: str) -> AsyncIterator[Served]:
    """The service over a control database of its own, for what is made in it has odd names."""
    async with control_database(
        admin_url, auth_mode=AuthMode.GATEWAY, drop_retention=600
    ) as settings:
        token = await admin_token(settings)
        app = create_app(settings)
        schema = schemathesis.openapi.from_dict(quick_to_generate(app.openapi()))
        with serving(app) as url:
            yield Served(schema, url, token)


CONFORMANCE: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


async def test_a_databases_life_keeps_to_the_document(served: Served, uid: str) -> None:
    async def step(label: str, **parts: Any) -> dict[str, Any]:
        case = served.schema.find_operation_by_label(label).Case(**parts)
        headers = {"Authorization": f"Bearer {served.token}"}
        response = await asyncio.to_thread(
            case.call_and_validate, base_url=served.url, headers=headers, checks=CONFORMANCE
        )
        assert response.status_code == 200
        body: dict[str, Any] = response.json()
        return body

    kind = "application/json"
    body: dict[str, Any] = {"database_name": "orders", "uid": uid, "description": "d"}
    created = await step(f"POST {V1}/create_database", body=body, media_type=kind)
    address = {"database_id": created["data"]["database_id"]}
    page = await step(f"GET {V1}/databases", query={"uid": uid, "limit": 5})
    assert [row["name"] for row in page["data"]["databases"]] == ["orders"]
    detail = await step(f"GET {V1}/databases/{{database_id}}", path_parameters=address)
    assert [schema["env"] for schema in detail["data"]["schemas"]] == ["prod", "test"]
    ddl = "CREATE TABLE t (id BIGSERIAL PRIMARY KEY, uid VARCHAR(64), c TEXT)"
    rehearsal: dict[str, Any] = {"dry_run": True, "ddl": "DROP TABLE t"}
    for more in ({}, rehearsal):
        body = {**address, "uid": uid, "ddl": ddl, **more}
        await step(f"POST {V1}/exec_ddl", body=body, media_type=kind)
    for more in ({}, {"as": "end_user"}, {"explain": "plan"}, {"rows": "arrays"}):
        dml = "INSERT INTO t (c) VALUES ('x'); SELECT * FROM t"
        body = {**address, "uid": uid, "env": "prod", "dml": dml, **more}
        await step(f"POST {V1}/exec_dml", body=body, media_type=kind)
    for read in ("schema", "ddl", "stats"):
        label = f"GET {V1}/databases/{{database_id}}/{read}"
        await step(label, path_parameters=address, query={"env": "test"})
    label = f"GET {V1}/databases/{{database_id}}/schema"
    await step(label, path_parameters=address, query={"format": "text", "table": ["t"]})
    for action in GRANTS:
        body = {**address, "uid": uid, "app_id": "shop"}
        await step(f"POST {V1}/{action}", body=body, media_type=kind)
    for action in ("modify_db_description", "drop_database", "restore_database"):
        await step(f"POST {V1}/{action}", body={**address, "uid": uid}, media_type=kind)
    for action, fields in (
        ("set_labels", {"labels": {"a/b": "c"}}),
        ("set_protection", {"protected": False}),
        ("set_expiration", {"ttl_seconds": 600}),
    ):
        body = {**address, "uid": uid, **fields}
        await step(f"POST {V1}/{action}", body=body, media_type=kind)
    for query in ({"label": ["a/b=c"]}, {"label": ["a/b"], "include_dropped": True}):
        page = await step(f"GET {V1}/databases", query={"uid": uid, **query})
        assert len(page["data"]["databases"]) == 1
    body = {"uid": uid, "labels": {"a/b": "c"}, "purge": True}
    gone = await step(f"POST {V1}/drop_databases", body=body, media_type=kind)
    assert len(gone["data"]["dropped"]) == 1


async def hold_to_the_document(
    served: Served, label: str, mode: GenerationMode, examples: int, checks: list[Any]
) -> set[int]:
    """Send what the document allows, or what it forbids; gives the statuses of the answers."""
    operation = served.schema.find_operation_by_label(label)
    statuses: set[int] = set()

    @hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def every_case(case: Any) -> None:
        headers = {"Authorization": f"Bearer {served.token}"}
        response = case.call_and_validate(base_url=served.url, headers=headers, checks=checks)
        statuses.add(response.status_code)

    # The session's own service must go on meanwhile: it holds a lease.
    await asyncio.to_thread(every_case)
    return statuses


@pytest.mark.parametrize(
    ("label", "examples", "reached"),
    [
        (f"POST {V1}/create_database", 100, 200),
        (f"POST {V1}/drop_database", 40, 404),
        (f"POST {V1}/modify_db_description", 100, 404),
        (f"POST {V1}/set_expiration", 40, 404),
        (f"POST {V1}/set_labels", 40, 404),
        (f"POST {V1}/drop_databases", 40, 200),
        (f"POST {V1}/restore_database", 40, 404),
        (f"POST {V1}/exec_ddl", 60, 404),
        (f"POST {V1}/exec_dml", 100, 404),
        (f"GET {V1}/databases", 40, 200),
        (f"GET {V1}/databases/{{database_id}}", 40, 404),
    ],
)
async def test_what_the_document_allows_is_taken(
    served: Served, label: str, examples: int, reached: int
) -> None:
    statuses = await hold_to_the_document(
        served, label, GenerationMode.POSITIVE, examples, CONFORMANCE
    )
    assert reached in statuses


@pytest.mark.parametrize(
    ("label", "examples"),
    [
        (f"POST {V1}/create_database", 40),
        (f"POST {V1}/drop_database", 40),
        (f"POST {V1}/modify_db_description", 40),
        (f"POST {V1}/set_expiration", 20),
        (f"POST {V1}/set_labels", 40),
        (f"POST {V1}/set_protection", 20),
        (f"POST {V1}/drop_databases", 40),
        (f"POST {V1}/restore_database", 20),
        (f"POST {V1}/grant_app", 20),
        (f"POST {V1}/exec_ddl", 40),
        (f"POST {V1}/exec_dml", 40),
        (f"GET {V1}/databases", 20),
        (f"GET {V1}/databases/{{database_id}}", 40),
    ],
)
async def test_what_the_document_forbids_is_refused(
    served: Served, label: str, examples: int
) -> None:
    checks = [*CONFORMANCE, negative_data_rejection]
    statuses = await hold_to_the_document(served, label, GenerationMode.NEGATIVE, examples, checks)
    assert statuses & {415, 422}


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("label", [f"POST {DROP_IN}/{action}" for action in ACTIONS])
async def test_the_drop_in_mount_answers_anything(
    served: Served, label: str, mode: GenerationMode
) -> None:
    checks = [not_a_server_error, content_type_conformance]
    statuses = await hold_to_the_document(served, label, mode, 20, checks)
    assert statuses <= {200, 404, 405}
