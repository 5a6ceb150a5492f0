"""Answers that leave while they are made."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Self

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from core.errors import StatementTimeout

NDJSON = "application/x-ndjson"


class Lines(StreamingResponse):
    """A body from a generator, which ends with the answer, however that ends."""

    @classmethod
    async def begun(
        cls,
        portions: AsyncGenerator[bytes, None],
        media_type: str = NDJSON,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Self:
        """The answer, once its first portion is there: what fails before has an envelope.

        Args:
            seconds: after which the answer is broken off, also where nobody reads on.
        """
        first = await anext(portions, b"")

        async def content() -> AsyncIterator[bytes]:
            yield first
            async for portion in portions:
                yield portion

        made = cls(content(), media_type=media_type, headers=headers)
        made._portions, made._seconds = portions, seconds
        return made

    _portions: AsyncGenerator[bytes, None]
    _seconds: float | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            raise StatementTimeout from None
        finally:
            await self._portions.aclose()
