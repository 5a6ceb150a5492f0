"""Ids in answers: numbers, and beside each the string that JavaScript can hold."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel

import memory.app  # noqa: F401  with it come all answers
from memory.api.envelope import Answer
from memory.inputs import DatabaseId, Input
from tests.api import Api
from tests.conftest import http_client

# What a double holds exactly.
EXACT = 2**53


def models(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in kind.__subclasses__():
        if not model.__module__.startswith("tests."):
            yield model
            yield from models(model)


def is_id(name: str) -> bool:
    return name == "id" or name.endswith("_id")


def wide(value: Any, where: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """The objects in an answer with the names of their members that are wide integers."""
    if isinstance(value, list):
        for each in value:
            yield from wide(each, where)
    if isinstance(value, dict):
        for name, member in value.items():
            yield from wide(member, name)
            if isinstance(member, int) and abs(member) > EXACT:
                yield value, name


def test_every_id_of_an_answer_is_declared_as_a_number_and_as_a_string() -> None:
    found = {
        (model.__name__, name)
        for model in models(Answer)
        for name, field in model.model_fields.items()
        if is_id(name) and field.annotation is int
    }
    assert {name for _, name in found} >= {"database_id", "operation_id"}
    by_name = {model.__name__: model for model in models(Answer)}
    for model_name, name in found:
        beside = by_name[model_name].model_fields.get(f"{name}_str")
        assert beside is not None, f"{model_name}.{name} has no string beside it"
        assert beside.annotation is str


def test_every_id_of_the_document_has_a_string_beside_it(app: FastAPI) -> None:
    """Whatever the class of an answer, and members of any depth."""
    inputs = {model.__name__ for model in models(Input)}
    schemas = app.openapi()["components"]["schemas"]
    seen = 0
    for schema_name, schema in schemas.items():
        properties = schema.get("properties", {})
        for name, about in properties.items():
            kinds = {about.get("type"), *(each.get("type") for each in about.get("anyOf", []))}
            if schema_name not in inputs and is_id(name) and "integer" in kinds:
                assert properties[f"{name}_str"]["type"] == "string", f"{schema_name}.{name}"
                seen += 1
    assert seen >= 5


async def test_every_id_of_an_answer_is_there_as_a_number_and_as_a_string(
    admin: Api, uid: str
) -> None:
    created = await admin.post("create_database", database_name="orders", uid=uid)
    address = {"database_id": created.data["database_id_str"], "uid": uid}
    cloned = await admin.post("clone_database", {**address, "new_database_name": "copy"})
    answers = [
        created,
        cloned,
        await admin.get(f"databases/{created.data['database_id_str']}"),
        await admin.get("databases", uid=uid),
        await admin.get(f"operations/{cloned.data['operation_id_str']}"),
    ]
    for answer in answers:
        found = list(wide(answer.body))
        assert found, answer.body
        for members, name in found:
            assert members[f"{name}_str"] == str(members[name])
    assert [name for _, name in wide(answers[-1].body)] == ["operation_id", "database_id"]


async def test_the_drop_in_mount_answers_numbers_alone(drop_in: Api, uid: str) -> None:
    created = await drop_in.post("create_database", database_name="orders", uid=uid)
    address = {"database_id": created.data["database_id"], "uid": uid}
    cloned = await drop_in.post("clone_database", {**address, "new_database_name": "copy"})
    for answer in (created, cloned):
        assert set(answer.data) == {"database_id"}
        assert type(answer.data["database_id"]) is int
        assert 2**31 <= answer.data["database_id"] < 2**63


@pytest.fixture
def asking() -> FastAPI:
    """An application with an id in the query, as any route may have."""
    app = FastAPI()

    @app.get("/")
    async def ask(database_id: Annotated[DatabaseId, Query()]) -> int:
        return database_id

    return app


@pytest.mark.parametrize("text", ["1", str(2**53 + 1), str(2**63 - 1)])
async def test_a_query_may_hold_an_id(asking: FastAPI, text: str) -> None:
    async with http_client(asking) as client:
        assert (await client.get("/", params={"database_id": text})).text == text


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "+1", " 1", "01", "1.0", "1e3", "0x1", "１", "true"],  # noqa: RUF001
)
async def test_a_query_holds_nothing_else(asking: FastAPI, text: str) -> None:
    async with http_client(asking) as client:
        assert (await client.get("/", params={"database_id": text})).status_code == 422
