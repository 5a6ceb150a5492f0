"""A database as its owner and its end users send SQL to it."""

from dataclasses import dataclass
from typing import Any

from tests.api import Answer, Api

NOTES = (
    "CREATE TABLE notes (id BIGSERIAL PRIMARY KEY, uid VARCHAR(64) NOT NULL,"
    " create_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, body TEXT, n INT)"
)


@dataclass(frozen=True)
class Twin:
    """A database under one API, and the fields that its calls have in common."""

    api: Api
    id: int
    uid: str

    async def ddl(self, ddl: str, /, **fields: Any) -> Answer:
        body = {"database_id": self.id, "uid": self.uid, "ddl": ddl, **fields}
        return await self.api.post("exec_ddl", body)

    async def dml(self, dml: str, /, **fields: Any) -> Answer:
        body = {"database_id": self.id, "uid": self.uid, "app_id": "", "env": "prod", "dml": dml}
        return await self.api.post("exec_dml", {**body, **fields})

    async def make(self, ddl: str, /, **fields: Any) -> None:
        """DDL that must succeed."""
        made = await self.ddl(ddl, **fields)
        assert made.code == 0, made.body

    async def rows(self, dml: str, /, **fields: Any) -> list[Any]:
        """The rows of a call that must succeed."""
        done = await self.dml(dml, **fields)
        assert done.code == 0, done.body
        found: list[Any] = done.data["exec_success"]
        return found

    async def value(self, dml: str, /, **fields: Any) -> Any:
        """The one value of the one row."""
        [row] = await self.rows(dml, **fields)
        [value] = row.values() if isinstance(row, dict) else row
        return value

    async def code(self, dml: str, /, **fields: Any) -> int:
        return (await self.dml(dml, **fields)).code


def as_user(uid: str, app_id: str = "shop") -> dict[str, str]:
    """The fields of a call that is made as an application's end user."""
    return {"as": "end_user", "uid": uid, "app_id": app_id}
