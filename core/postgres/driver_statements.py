"""The driver's own state of a statement, by which it reads the rows."""

from collections.abc import Iterable
from typing import Any

import asyncpg
from asyncpg.protocol import NO_TIMEOUT
from asyncpg.protocol.protocol import PreparedStatementState

from core.postgres import messages
from core.postgres.joined_writes import JoinedWrites
from core.postgres.known_statements import KnownStatement


class DriverStatements:
    """Makes the states of one connection; all values come and go as text.

    Args:
        protocol: the driver's.
    """

    def __init__(self, protocol: Any, transport: JoinedWrites) -> None:
        self._protocol, self._transport = protocol, transport
        # The types whose values come as text.
        self._as_text: set[int] = set()

    def undescribed(self, statement: str) -> Any:
        """A statement that has no parameters and gives no rows."""
        record_class = self._protocol.get_record_class()
        prepared: Any = PreparedStatementState("", statement, self._protocol, record_class, False)
        prepared.mark_unprepared()
        prepared._init_codecs()
        return prepared

    async def as_known(self, statement: str, known: KnownStatement) -> Any:
        """A statement as if PostgreSQL had described it; nothing is sent."""
        await self._protocol._wait_for_cancellation(NO_TIMEOUT)
        preparing = self._protocol.prepare(
            "", statement, NO_TIMEOUT, record_class=self._protocol.get_record_class()
        )
        self._transport.is_muted = True
        try:
            # It waits for an answer, gets it, and returns, without a turn of the loop.
            preparing.send(None)
            self._protocol.data_received(messages.description(known.parameters, known.fields))
            preparing.send(None)
        except StopIteration as returned:
            prepared = returned.value
        else:
            raise asyncpg.InternalClientError("the driver waits for more than a description")
        finally:
            self._transport.is_muted = False
        self.init_codecs(prepared)
        return prepared

    def init_codecs(self, prepared: Any) -> None:
        self.take_as_text(type_.oid for type_ in prepared._get_parameters())
        self.take_as_text(type_.oid for _, type_ in prepared._get_attributes())
        prepared._init_codecs()

    def take_as_text(self, oids: Iterable[int]) -> None:
        settings = self._protocol.get_settings()
        for oid in oids:
            if oid not in self._as_text:
                self._as_text.add(oid)
                settings.set_builtin_type_codec(oid, "text", "pg_catalog", "scalar", "text", "text")
