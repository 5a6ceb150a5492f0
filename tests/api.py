"""The API as tests call it."""

from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Answer:
    """An answer's HTTP status, its envelope, and its headers."""

    status: int
    body: dict[str, Any]
    headers: httpx.Headers

    @property
    def code(self) -> int:
        return int(self.body["code"])

    @property
    def message(self) -> str:
        return str(self.body["message"])

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["error"]
        return found


@dataclass(frozen=True)
class Api:
    client: httpx.AsyncClient
    mount: str = "/v1"

    async def post(self, action: str, body: Any = None, /, **fields: Any) -> Answer:
        """Call an action with a JSON body, given whole or as fields."""
        response = await self.client.post(
            f"{self.mount}/{action}", json=fields if body is None else body
        )
        return answer(response)

    async def get(self, path: str, /, **query: Any) -> Answer:
        return answer(await self.client.get(f"{self.mount}/{path}", params=query))

    async def send(self, method: str, path: str, /, **options: Any) -> Answer:
        """Any request, for what is not well formed."""
        return answer(await self.client.request(method, f"{self.mount}/{path}", **options))

    async def create(self, name: str, /, **fields: Any) -> int:
        """Create a database that must succeed; gives its id."""
        created = await self.post("create_database", database_name=name, **fields)
        assert created.code == 0, created.body
        return int(created.data["database_id"])


def answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.json(), response.headers)
