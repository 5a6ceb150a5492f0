"""What all groups of calls are made with."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, TypeAlias

from pgtwin._async.transport import AsyncTransport

Environment: TypeAlias = Literal["prod", "test"]
Environments: TypeAlias = Literal["prod", "test", "both"]
Audience: TypeAlias = Literal["owner", "end_user"]


class Calls:
    """
    Attributes:
        _who: for whom calls are made, and in which space.
    """

    _transport: AsyncTransport
    _who: Mapping[str, str | None]

    def _given_who(self) -> dict[str, str]:
        return {name: value for name, value in self._who.items() if value is not None}

    async def _post(self, path: str, /, **fields: Any) -> Any:
        return await self._transport.post(path, **fields, **self._who)

    async def _pages(
        self, path: str, name: str, query: Mapping[str, Any]
    ) -> AsyncIterator[Mapping[str, Any]]:
        cursor = None
        while True:
            page = await self._transport.get(path, **{**query, "cursor": cursor})
            for each in page[name]:
                yield each
            cursor = page.get("next_cursor")
            if cursor is None:
                return
