"""A database whose logins have passwords of an older secret lets its sessions in again."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from core.postgres.preparation import prepare
from tests.conftest import control_database, running, with_database
from tests.integration.test_transactions import admin_api

ANOTHER = "another-secret-than-that-of-all-other-tests"


async def test_sql_runs_after_the_secret_was_replaced(admin_url: str, uid: str) -> None:
    async with control_database(admin_url) as settings:
        async with running(settings) as app:
            api = await admin_api(app)
            at: dict[str, Any] = {"database_id": await api.create("db", uid=uid), "uid": uid}
            assert (await api.post("exec_ddl", **at, ddl="CREATE TABLE t (k INT)")).code == 0
        assert settings.master_secret is not None
        first = settings.master_secret.get_secret_value()
        url = with_database(admin_url, urlsplit(settings.dsn or "").path.lstrip("/"))
        try:
            replaced = await prepare(url, ANOTHER, new_secret=True, log=lambda _line: None)
            another = settings.model_copy(
                update={
                    "database_url": SecretStr(replaced.control_url),
                    "master_secret": SecretStr(ANOTHER),
                }
            )
            async with running(another) as app:
                api = await admin_api(app)
                done = await api.post("exec_dml", **at, env="prod", dml="SELECT count(*) FROM t")
                assert done.code == 0, done.body
                gone = await api.post("drop_database", **at)
                assert gone.code == 0, gone.body
        finally:
            # All tests' services log in with the one secret.
            await prepare(url, first, new_secret=True, log=lambda _line: None)
