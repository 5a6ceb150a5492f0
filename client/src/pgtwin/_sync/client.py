"""The service's calls."""

import os
from types import TracebackType
from typing import Self

import httpx

from pgtwin._retry import Retry
from pgtwin._sync.connections import ConnectionCalls
from pgtwin._sync.databases import DatabaseCalls
from pgtwin._sync.files import FileCalls
from pgtwin._sync.inspection import InspectionCalls
from pgtwin._sync.operations import OperationCalls
from pgtwin._sync.statements import StatementCalls
from pgtwin._sync.transport import Transport


class Client(
    DatabaseCalls, StatementCalls, FileCalls, InspectionCalls, ConnectionCalls, OperationCalls
):
    """All calls of a pgtwin service.

    Args:
        url: of the service; None: PGTWIN_URL, or http://127.0.0.1:7990.
        key: an API key; None: PGTWIN_KEY.
        uid: for whom the calls are made; None: that of PGTWIN_UID, or whom the key belongs to.
        space_id: the space that databases are in; "": one's own.
        timeout: seconds for an answer.
        retry: how often a call is sent again.
        http: an httpx client of the caller's own, which is not closed.

    Each call raises a class of `pgtwin.errors`: what the service answers, or `ServerUnreachable`,
    `IncompatibleServer`.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        uid: str | None = None,
        space_id: str = "",
        timeout: float = 60.0,
        retry: Retry | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._transport = Transport(url, key, timeout=timeout, retry=retry or Retry(), http=http)
        self.url = self._transport.url
        self._who = {"uid": uid or os.environ.get("PGTWIN_UID"), "space_id": space_id or None}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()
