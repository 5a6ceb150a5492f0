from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgtwin.testing import Database

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def pgtwin_build_template() -> Callable[[Database], None]:
    def build(database: Database) -> None:
        config = Config(toml_file=PROJECT / "pyproject.toml")
        config.attributes["url"] = database.sqlalchemy_url()
        command.upgrade(config, "head")

    return build


@pytest.fixture
def engine(pgtwin_database: Database) -> Iterator[Engine]:
    engine = create_engine(pgtwin_database.sqlalchemy_url())
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture
async def async_session(pgtwin_database: Database) -> AsyncIterator[AsyncSession]:
    engine = create_async_engine(pgtwin_database.sqlalchemy_url("asyncpg"))
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()
