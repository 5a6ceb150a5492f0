"""Answers of lines, which leave while they are made."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Self

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

NDJSON = "application/x-ndjson"


class Lines(StreamingResponse):
    """NDJSON from a generator, which ends with the answer, however that ends."""

    @classmethod
    async def begun(cls, portions: AsyncGenerator[bytes, None]) -> Self:
        """The answer, once its first portion is there: what fails before has an envelope."""
        first = await anext(portions)

        async def content() -> AsyncIterator[bytes]:
            yield first
            async for portion in portions:
                yield portion

        made = cls(content(), media_type=NDJSON)
        made._portions = portions
        return made

    _portions: AsyncGenerator[bytes, None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._portions.aclose()
