"""Databases made through the API, and their environments as their own roles see them."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from core.postgres.identifiers import Environment, RoleName, SchemaName
from core.postgres.passwords import derive
from core.postgres.preparation import login_url
from memory.services import Services
from tests.acceptance.clone.files import CorpusFile
from tests.api import Answer, Api
from tests.conftest import MASTER_SECRET

Connection = Any


@dataclass(frozen=True)
class Bench:
    """A service over a server of one version, and a superuser's look into its catalog."""

    api: Api
    services: Services
    catalog: Connection
    major: int
    features: frozenset[str]

    def url(self, login: RoleName) -> str:
        return login_url(
            self.services.settings.dsn or "", login.name, derive(MASTER_SECRET, login.name)
        )


@dataclass(frozen=True)
class Half:
    """One environment of a database."""

    bench: Bench
    database_id: int
    environment: Environment
    schema: SchemaName

    @property
    def owner(self) -> RoleName:
        return RoleName.owner(self.environment, self.database_id)

    @property
    def ddl_url(self) -> str:
        return self.bench.url(RoleName.ddl(self.database_id))

    @property
    def words(self) -> dict[str, str]:
        """What the corpus's placeholders stand for."""
        return {
            "schema": _bare(self.schema),
            "role": self.owner.name,
            "app": RoleName.app(self.environment, self.database_id).name,
        }

    @asynccontextmanager
    async def as_owner(self) -> AsyncIterator[Connection]:
        """A session of the ddl login that has become the owner, in its own schema."""
        connection = await asyncpg.connect(self.ddl_url)
        try:
            await connection.execute(f"SET ROLE {self.owner}; SET search_path = {self.schema}")
            yield connection
        finally:
            await connection.close()

    async def load(self, file: CorpusFile) -> None:
        async with self.as_owner() as connection:
            for transaction in file.transactions(self.words):
                await connection.execute(transaction)

    def hide_names(self, text: str) -> str:
        """The text with the names of this half's schema and of its database's roles hidden.

        Only whole identifiers: what merely begins or ends with the schema's name has another.
        """
        name = self.schema.name
        forms = [str(self.schema), str(self.schema).replace("'", "''"), name]
        forms += [name.replace("'", "''"), name.replace('"', '""')]
        text = re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, forms))})(?!\w)", "{schema}", text)
        role = rf"(?<!\w)d{self.database_id}_(prod_app|test_app|prod|test|ddl)(?!\w)"
        return re.sub(role, r"{\1}", text)


@dataclass(frozen=True)
class Twin:
    """A database: its prod and its test half."""

    bench: Bench
    database_id: int
    uid: str
    prod: Half
    test: Half

    def half(self, environment: Environment) -> Half:
        return self.prod if environment is Environment.PROD else self.test

    async def clone(self, name: str, **options: Any) -> "Twin":
        """A copy through the API, which must succeed."""
        return await self.copy_of(await self.try_clone(name, **options))

    async def copy_of(self, answer: Answer) -> "Twin":
        return await twin(self.bench, answer, self.uid)

    async def try_clone(self, name: str, **options: Any) -> Answer:
        return await self.bench.api.post(
            "clone_database",
            database_id=self.database_id,
            uid=self.uid,
            new_database_name=name,
            **options,
        )

    async def drop(self, **options: Any) -> None:
        dropped = await self.bench.api.post(
            "drop_database", database_id=self.database_id, uid=self.uid, **options
        )
        assert dropped.code == 0, dropped.body


async def new_twin(bench: Bench, name: str, uid: str, **options: Any) -> Twin:
    made = await bench.api.post("create_database", database_name=name, uid=uid, **options)
    return await twin(bench, made, uid)


async def twin(bench: Bench, made: Answer, uid: str) -> Twin:
    """The database that an answer is about; its schemas' names are those that the API tells."""
    assert made.code == 0, made.body
    database_id = int(made.data["database_id"])
    assert made.data["database_id_str"] == str(database_id)
    described = await bench.api.get(f"databases/{database_id}")
    assert described.code == 0, described.body
    halves = {
        schema["env"]: Half(
            bench, database_id, Environment(schema["env"]), SchemaName(schema["schema_name"])
        )
        for schema in described.data["schemas"]
    }
    return Twin(bench, database_id, uid, halves["prod"], halves["test"])


def _bare(schema: SchemaName) -> str:
    return schema.name if re.fullmatch(r"[a-z_][a-z0-9_]*", schema.name) else str(schema)
