"""A limit to what PostgreSQL may answer, for the driver keeps all of it in memory."""

import asyncio
from typing import Any

from core.postgres.answers import Answers, AnswersBehind, Description

# How the message begins with which PostgreSQL ends a session, in any language.
FATAL, FATAL_WITHIN = b"\0VFATAL\0", 64


class ByteLimit(asyncio.Protocol):
    """Between a connection's transport and the driver's protocol: counts what comes in.

    What is over the limit does not reach the driver; the connection is aborted instead. Notices
    and all other messages count as rows do.

    Attributes:
        exceeded: there was more.
        is_ended: PostgreSQL has said that it ends the session; the connection may look open yet.
    """

    def __init__(self, transport: Any, inner: Any) -> None:
        self._transport = transport
        self._inner = inner
        self._feed = inner.data_received
        self._left = 0
        self._limited = False
        self._answers: list[Answers] = []
        self._description: Description | None = None
        self._behind: AnswersBehind | None = None
        self.exceeded = self.is_ended = False
        transport.set_protocol(self)

    def begin(self, limit: int) -> None:
        """Count anew; 0: there is no limit."""
        self._left, self._limited = limit, limit > 0

    def take_out(self, answers: Answers) -> None:
        """Keep the answers to what was just sent from the driver; those taken out before come
        before."""
        self._answers.append(answers)

    def take_out_description(self, description: Description) -> None:
        """Keep the answers to a Parse and a Describe from it; those of `take_out` come before."""
        self._description = description

    def take_out_behind(self, answers: AnswersBehind | None) -> None:
        """Keep the answers to what is sent behind the driver's next request from it."""
        self._behind = answers

    def data_received(self, data: bytes) -> None:
        if self._limited:
            self._left -= len(data)
            if self._left < 0:
                self._exceed()
                return
        while self._answers:
            data = self._answers[0].take(data)
            if not self._answers[0].is_complete:
                break
            if self._answers.pop(0).failure is not None:
                # What was sent behind it is skipped.
                self._answers.clear()
        if self._description is not None:
            data = self._description.take(data)
            if self._description.is_complete:
                self._description = None
        if self._behind is not None:
            data = self._behind.take(data)
            if self._behind.is_complete:
                self._behind = None
        if data[:1] == b"E" and FATAL in data[:FATAL_WITHIN]:
            self.is_ended = True
        self._feed(data)

    def _exceed(self) -> None:
        if not self.exceeded:
            self.exceeded = True
            self._transport.abort()

    def eof_received(self) -> bool | None:
        keep_open: bool | None = self._inner.eof_received()
        return keep_open

    def connection_lost(self, error: Exception | None) -> None:
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
