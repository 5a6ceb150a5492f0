"""HTTP: one way in which every call is sent, repeated and read."""

import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from pgtwin import _wire, errors
from pgtwin._retry import Retry
from pgtwin._waiting import async_sleep

IDEMPOTENCY = "Idempotency-Key"


class AsyncTransport:
    """
    Args:
        url, key: None: those of PGTWIN_URL and PGTWIN_KEY.
        timeout: seconds for an answer.
        http: a client of the caller's own, which is not closed.
    """

    def __init__(
        self,
        url: str | None,
        key: str | None,
        *,
        timeout: float,
        retry: Retry,
        http: httpx.AsyncClient | None,
    ) -> None:
        self.url = _wire.address(url)
        self._headers = _wire.headers(key)
        self._retry = retry
        self._is_checked = False
        self._is_own = http is None
        self._http = http or httpx.AsyncClient(
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=100),
        )

    async def close(self) -> None:
        if self._is_own:
            await self._http.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        return await self._call("GET", path, params=_wire.body(**query))

    async def post(self, path: str, /, **fields: Any) -> Any:
        return await self.send(path, _wire.body(**fields))

    async def send(self, path: str, fields: Mapping[str, Any]) -> Any:
        """The same with fields that are null where they are None."""
        return await self._call("POST", path, json=dict(fields))

    async def upload(self, path: str, fields: Mapping[str, Any], name: str, file: Any) -> Any:
        """
        Args:
            file: bytes, or a binary file that can be read again from where it is.
        """
        return await self._call(
            "POST", path, data=_wire.body(**fields), files={"file": (name, file)}
        )

    @asynccontextmanager
    async def stream(self, path: str, **fields: Any) -> AsyncGenerator[httpx.Response, None]:
        """An answer that is read while it is made; not sent again once it has begun."""
        attempt = 1
        while True:
            request = self._request("POST", path, {"json": _wire.body(**fields)})
            try:
                response = await self._send(request, stream=True)
                try:
                    if response.status_code == 200:
                        yield response
                        return
                    content = await response.aread()
                    failed = _wire.failure(response.status_code, content)
                finally:
                    await response.aclose()
            except errors.ServerUnreachable as error:
                failed = error
            if not failed.retryable or attempt >= self._retry.attempts:
                raise failed
            await async_sleep(self._retry.wait(attempt))
            attempt += 1

    async def _call(self, method: str, path: str, **content: Any) -> Any:
        request_headers = {IDEMPOTENCY: uuid.uuid4().hex} if method == "POST" else {}
        start = _start_of(content)
        attempt = 1
        while True:
            asked = ""
            try:
                _rewind(content, start)
                response = await self._send(self._request(method, path, content, request_headers))
                try:
                    return _wire.data_of(response.status_code, response.content)
                except errors.PgtwinError as error:
                    is_passing = response.status_code in _wire.RETRIED
                    failed, may_repeat = error, error.retryable or is_passing
                    asked = response.headers.get("retry-after", "")
            except errors.ServerUnreachable as error:
                failed, may_repeat = error, True
            if not may_repeat or attempt >= self._retry.attempts:
                raise failed
            await async_sleep(self._retry.wait(attempt, asked))
            attempt += 1

    def _request(
        self,
        method: str,
        path: str,
        content: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Request:
        url = f"{self.url}/v1/{path}"
        return self._http.build_request(
            method, url, headers={**self._headers, **(headers or {})}, **content
        )

    async def _send(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        try:
            response = await self._http.send(request, stream=stream)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise errors.ServerUnreachable(f"no answer from {self.url}: {reason}") from error
        if not self._is_checked:
            try:
                _wire.check_version(response.headers, self.url)
            except errors.IncompatibleServer:
                await response.aclose()
                raise
            self._is_checked = True
        return response


def _file_in(content: Mapping[str, Any]) -> Any:
    files = content.get("files")
    return files["file"][1] if files else None


def _start_of(content: Mapping[str, Any]) -> int:
    file = _file_in(content)
    return int(file.tell()) if hasattr(file, "tell") else 0


def _rewind(content: Mapping[str, Any], start: int) -> None:
    file = _file_in(content)
    if hasattr(file, "seek"):
        file.seek(start)
