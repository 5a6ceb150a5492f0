"""The one way of a tenant's SQL: a statement a message, all values as text, nothing else sent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.protocol import NO_TIMEOUT

from core.cache import Cache
from core.errors import (
    InvalidParameter,
    InvalidRequest,
    ResultTooLarge,
    StatementTimeout,
)
from core.postgres import messages
from core.postgres.answers import Answers, AnswersBehind, Description
from core.postgres.arrays import array_literal
from core.postgres.byte_limit import ByteLimit
from core.postgres.driver_statements import DriverStatements
from core.postgres.joined_writes import JoinedWrites
from core.postgres.known_statements import CHARACTERS, KnownStatement, known_statements
from core.postgres.outcomes import (
    AnswersAhead,
    DescriptionChanged,
    Outcome,
    RefusedBehind,
    Utility,
)
from core.postgres.type_book import DESCRIBE, PostgresType, TypeBook
from core.postgres.values import Column, JsonValue, encode_all

# Seconds in which the server has to end a statement that was cancelled.
CANCEL_GRACE = 2.0
# Parse and Describe are followed by no Sync; the shortest time limit that is still sent and then
# cancelled leaves the session in a known state.
SHORTEST_TIMEOUT = 0.001
# The driver's statements that a session keeps.
PREPARED = 32
# Said before a text that other than ASCII is in, where code may have run since the encoding was
# looked at; itself it reads alike in all encodings.
READ_AS_SENT = "SET LOCAL client_encoding = 'UTF8'"
# What does nothing, takes no snapshot, and is answered.
NOTHING = "SHOW transaction_isolation"
# What the event loop takes from a socket at once, be it many rows.
READ_AT_ONCE = 262_144

T = TypeVar("T")
ParameterLists: TypeAlias = (
    Sequence[Sequence[JsonValue]]
    | Callable[[Sequence[PostgresType]], Sequence[Sequence[JsonValue]]]
)


class TenantConnection(asyncpg.Connection):
    """The driver's connection without the SQL that the driver sends on its own.

    After a `ResultTooLarge` it is closed, after a `StatementTimeout` it may be. A task that is
    cancelled in the middle cancels its statement on the server; `close` then waits for that,
    while `terminate` would leave the statement running.
    """

    byte_limit = 0
    cancel_grace = CANCEL_GRACE
    # How many calls it has served.
    uses = 0
    # Whether it was left while its backend may still have been at work.
    is_cut_off = False
    # The driver's own, which its type stubs leave out.
    _loop: asyncio.AbstractEventLoop
    _params: Any
    _protocol: Any
    _transport: JoinedWrites
    _stmt_exclusive_section: Any
    _check_open: Callable[[], None]

    def __init__(self, protocol: Any, transport: Any, *given: Any) -> None:
        super().__init__(protocol, transport, *given)
        # Tasks are known to the loop that they run in, which is not the one that the driver got.
        self._loop = asyncio.get_running_loop()
        self.types = TypeBook()
        self.backend_pid: int = protocol.get_server_pid()
        self._describe: Any = None
        self._incoming = ByteLimit(transport, protocol)
        self._beginning = ""
        self._begun = Answers()
        # What began a transaction along with the login, until `begin_with` says the same.
        self._ahead = b""
        # Whether nothing was sent, and nobody told of a refusal, since it was said again.
        self._is_ahead = False
        # Whether a transaction was begun of which the driver may not know.
        self._is_open = False
        # What sessions of the same logins share, and what the driver reads by it in this one: in a
        # state of its own, for that follows the session's encoding.
        self.known = known_statements()
        self._driver = DriverStatements(protocol, transport)
        self._prepared: Cache[str, tuple[KnownStatement, Any]] = Cache("prepared", PREPARED, None)
        self._user: str = self._params.user
        # Whether a statement went out to be executed along with the transaction's beginning.
        self._sent_whole = False
        # What comes for that which ends the transaction along with a statement; None: nothing does.
        self.end: AnswersBehind | None = None
        # How many of those of `run_utilities` are done.
        self.utilities_done = 0
        if transport.early is not None:
            self._ahead, self._is_open = transport.first, True
            self._incoming.take_out(self._begun)
            self._incoming.data_received(transport.early)
            transport.first, transport.early = b"", None

    def begin_with(self, message: str) -> None:
        """Begin a transaction along with the next statement, in the same round trip; an `execute`
        ends it.

        Args:
            message: simple statements of the service's own. Where PostgreSQL refuses them, that is
                raised by the next statement, which is not executed. What went out along with the
                login is not sent again, and has to be what this says.
        """
        if self._ahead:
            if messages.query(message) != self._ahead:
                self.terminate()
                raise asyncpg.InterfaceError("another transaction was begun along with the login")
            # Nothing else was sent in this session.
            self._ahead, self._is_ahead = b"", True
            return
        self._beginning, self._begun = message, Answers()
        self._sent_whole, self.end = False, None

    @property
    def awaits_beginning(self) -> bool:
        """Whether the message of `begin_with` was not sent yet."""
        return bool(self._beginning)

    @property
    def has_only_begun(self) -> bool:
        """Whether it went out along with the login, and nothing was sent behind it."""
        return self._is_ahead

    @property
    def has_begun(self) -> bool:
        """Whether it was sent, and done."""
        return self._begun.is_complete and self._begun.failure is None

    @property
    def may_have_run(self) -> bool:
        """Whether a statement may have been executed although no transaction is known to have
        begun: the session was lost without a word, or it was executed without one."""
        begun = self._begun
        lost = begun.failure is None and not begun.is_complete
        return self._sent_whole and (lost or begun.is_idle)

    async def begin_now(self, *, timeout: float | None = None) -> None:
        """Begin, if that is to be done and waits for a statement.

        Args:
            timeout: seconds; None: those of the login.
        """
        if self._beginning:
            await self.execute("", timeout=timeout)
        elif self._is_ahead:
            self._check_begun()
            try:
                await super().execute(NOTHING, timeout=timeout)
            except asyncpg.PostgresError:
                self._raise_failure()
                raise
            finally:
                # The driver knows by now.
                self._is_open = False
            self._raise_failure()

    @property
    def _is_beginning(self) -> bool:
        """Whether the message has gone out, and was not answered yet."""
        return self._is_open and not self._begun.is_complete

    def forget_beginning(self) -> None:
        self._beginning = ""

    async def run(
        self,
        statement: str,
        parameters: Sequence[JsonValue] = (),
        *,
        row_limit: int = 0,
        timeout: float | None = None,
    ) -> Outcome:
        """Run one statement, its parameters encoded by the types that it gives them.

        Args:
            row_limit: 0: all rows.
            timeout: seconds until the statement is cancelled from outside.

        Raises:
            InvalidParameter: a parameter does not fit; the statement has not run.
            ResultTooLarge: the answer is over the byte limit; the connection is closed.
            StatementTimeout: the connection is closed if cancelling had no effect.
        """
        (outcome,) = await self.run_many(
            statement, (parameters,), row_limit=row_limit, timeout=timeout
        )
        return outcome

    async def run_many(
        self,
        statement: str,
        parameter_lists: ParameterLists,
        *,
        row_limit: int = 0,
        timeout: float | None = None,
        behind: str = "",
        remembered_as: str | None = None,
    ) -> list[Outcome]:
        """Run one statement with each of the lists of parameters, in the order given.

        A statement that is remembered is parsed anew, and executed along with the beginning and the
        end of the transaction, in one round trip.

        Args:
            parameter_lists: as they are, or what makes them once the parameters' types are known.
            remembered_as: what stands for its parameters' types and its columns, as far as the
                session's login does not; where they are others after all, it is
                DescriptionChanged. None: it is described, and not remembered.
            behind: simple statements of the service's own that end the transaction, and go out
                along with the last execution. What is raised after that, because of a limit of time
                or bytes, may come although the change is kept: `end` tells.

        Outside a transaction each is one of its own. The time limit and the byte limit are for
        all of them together, the row limit is for each.

        Raises:
            RefusedBehind: PostgreSQL refused what was sent behind.
            DescriptionChanged: what was remembered does not hold any more.
            InvalidParameter, ResultTooLarge, StatementTimeout: as `run`.
        """
        return await self._bounded(
            statement, self._run_all, parameter_lists, row_limit, timeout, behind, remembered_as
        )

    async def run_utilities(
        self, utilities: Sequence[Utility], *, behind: str = "", timeout: float | None = None
    ) -> list[Outcome]:
        """Run statements in order, along with the beginning of the transaction, in one round trip.

        After one that is refused none is executed, for they are in a transaction: only a single
        one, without anything ahead, may be run outside of any. `utilities_done` tells, then too,
        how far it went.

        Args:
            behind: as of `run_many`.
            timeout: seconds for all of them, until what runs is cancelled from outside.

        Raises:
            RefusedAhead: PostgreSQL refused what was to be done before one.
            RefusedBehind, StatementTimeout: as `run_many`.
        """
        for each in utilities:
            self._check_encoding(each.text)
        *_, last = utilities
        return await self._bounded(last.text, self._run_undescribed, utilities, behind, timeout)

    async def _bounded(self, statement: str, send: Callable[..., Awaitable[T]], *given: Any) -> T:
        self._check_open()
        self._check_encoding(statement)
        with self._stmt_exclusive_section:
            self._incoming.begin(self.byte_limit)
            try:
                return await send(statement, *given)
            except TimeoutError:
                await self._await_cancellation()
                raise StatementTimeout from None
            except (asyncpg.InterfaceError, asyncpg.PostgresConnectionError):
                if not self._incoming.exceeded:
                    raise
                self.is_cut_off = True
                self.terminate()  # what was received is held by the driver until then
                raise ResultTooLarge(f"The result is larger than {self.byte_limit} bytes") from None
            finally:
                self._incoming.begin(self.byte_limit)

    async def copy_in(self, statement: str, data: bytes, *, timeout: float | None = None) -> int:
        """Run a COPY FROM STDIN; gives the number of rows.

        Raises:
            StatementTimeout: as `run`.
        """
        self._check_open()
        self._check_encoding(statement)
        deadline = self._deadline(timeout)
        try:
            await self.begin_now(timeout=timeout)
            # The driver's own takes bytes for the name of a file, and opens that.
            with self._stmt_exclusive_section:
                tag: str = await self._protocol.copy_in(
                    statement, None, data, None, None, self._remaining(deadline)
                )
        except TimeoutError:
            await self._await_cancellation()
            raise StatementTimeout from None
        return int(tag.rpartition(" ")[2])

    async def _run_undescribed(
        self, statement: str, utilities: Sequence[Utility], behind: str, timeout: float | None
    ) -> list[Outcome]:
        self.utilities_done = 0
        deadline = self._deadline(timeout)
        if utilities[0].ahead or self._is_ahead:
            # Of two simple queries in a row the second is done even where the first is refused.
            await self.begin_now(timeout=timeout)
        prepared = self._driver.undescribed(statement)
        ahead = self._send_ahead(utilities)
        # The driver parses it in a write of its own.
        self._transport.join()
        execution = self._execute_prepared(prepared, (), (), 0, deadline, behind)
        try:
            last = await execution
        except (asyncpg.PostgresError, RefusedBehind):
            self._raise_failure()
            ahead.raise_failure()
            raise
        finally:
            self._transport.release()
            self.utilities_done = len(ahead.tags)
        self._raise_failure()
        ahead.raise_failure()
        self.utilities_done = len(utilities)
        return [*(Outcome((), (), tag, complete=True) for tag in ahead.tags), last]

    def _send_ahead(self, utilities: Sequence[Utility]) -> AnswersAhead:
        """Send all but the last one itself along with what the driver is about to send."""
        self._check_not_ended()
        requests: list[tuple[str, bool]] = []
        for place, each in enumerate(utilities):
            ahead_of_it = [each.ahead] if each.ahead else []
            if place and not each.text.isascii():
                ahead_of_it.append(READ_AS_SENT)
            requests += ((text, True) for text in ahead_of_it)
            requests.append((each.text, False))
        del requests[-1]
        if self._beginning:
            self._send_beginning(apart=True)
            self._sent_whole = True
        elif requests and not self.is_in_transaction():
            raise asyncpg.InterfaceError("only one statement goes out outside a transaction")
        ahead = AnswersAhead([is_own for _, is_own in requests])
        if requests:
            self._incoming.take_out(ahead.answers)
            for text, is_own in requests:
                self._transport.hold(messages.query(text) if is_own else messages.executing(text))
        return ahead

    async def describe(self, statement: str, *, timeout: float) -> tuple[Column, ...]:
        """The columns of a statement that takes no parameters, and is not run; in a transaction,
        what it names is locked.

        Raises:
            InvalidParameter: it takes some.
            StatementTimeout
        """
        self._check_open()
        self._check_encoding(statement)
        with self._stmt_exclusive_section:
            try:
                prepared = await self._prepare_first(statement, self._deadline(timeout))
            except TimeoutError:
                await self._await_cancellation()
                raise StatementTimeout from None
        if prepared._get_parameters():
            raise InvalidParameter("The statement takes parameters, which can't be given here")
        return self._columns(prepared)

    async def copy_out(
        self, statement: str, take: Callable[[bytes], Awaitable[None]], *, timeout: float
    ) -> None:
        """Run a COPY TO STDOUT; whatever ends it before its end closes the connection.

        The driver sends it by the simple protocol, where a message may hold many statements: so
        it is parsed first as those that may hold one only.

        Args:
            take: gets whole rows as they come; no more are read until it has them.
            timeout: seconds for all of it, `take` included.

        Raises:
            ResultTooLarge: one row is over the byte limit.
            StatementTimeout
        """
        await self.describe(statement, timeout=timeout)
        limit = self.byte_limit + READ_AT_ONCE

        async def taken(data: bytes) -> None:
            await take(data)
            self._incoming.begin(limit)

        with self._stmt_exclusive_section:
            self._incoming.begin(limit)
            try:
                await self._protocol.copy_out(statement, taken, timeout)
            except BaseException as error:
                is_refused = isinstance(error, asyncpg.PostgresError) and not self.is_closed()
                if not is_refused:
                    # The driver would take what still comes for the end of a cancelled COPY.
                    self.is_cut_off = True
                    self.terminate()
                if self._incoming.exceeded:
                    message = f"A row is larger than {self.byte_limit} bytes"
                    raise ResultTooLarge(message) from None
                if isinstance(error, TimeoutError):
                    raise StatementTimeout from None
                raise
            finally:
                self._incoming.begin(self.byte_limit)

    def _columns(self, prepared: Any) -> tuple[Column, ...]:
        return tuple(
            Column(name, type_.oid, self.types[type_.oid].name)
            for name, type_ in prepared._get_attributes()
        )

    async def _run_all(
        self,
        statement: str,
        parameter_lists: ParameterLists,
        row_limit: int,
        timeout: float | None,
        behind: str,
        key: str | None,
    ) -> list[Outcome]:
        deadline = self._deadline(timeout)
        if key is not None and len(key) > CHARACTERS:
            key = None
        known, prepared = (None, None) if key is None else self._recall(key)
        encoded = description = None
        if known is not None:
            # Where the parameters do not fit, their types may be others by now.
            with suppress(InvalidParameter):
                encoded = self._encoded(known, parameter_lists, by_value=bool(behind))
        if known is not None and encoded is not None:
            if prepared is None:
                prepared = await self._driver.as_known(statement, known)
            description = self._send_known(statement, known)
        else:
            prepared = await self._prepare_first(statement, deadline)
            known = self._described(prepared)
            try:
                encoded = self._encoded(known, parameter_lists)
            except BaseException:
                await self._protocol.close_statement(prepared, NO_TIMEOUT)
                raise
        last, outcomes = len(encoded) - 1, []
        try:
            for place, texts in enumerate(encoded):
                ending = behind if place == last else ""
                outcome = await self._execute_prepared(
                    prepared, known.columns, texts, row_limit, deadline, ending
                )
                self._check_known(description, has_ended=bool(ending))
                outcomes.append(outcome)
        except (asyncpg.PostgresError, RefusedBehind):
            self._check_known(description, has_ended=False)
            raise
        finally:
            # Where the driver has sent nothing.
            self._transport.release()
            if key is not None and description is not None and description.has_changed:
                self._prepared.forget(key)
                self.known.forget((self._user, key))
        if key is not None and (description is None or not description.has_changed):
            self._remember(key, known, prepared)
        return outcomes

    def _recall(self, key: str) -> tuple[KnownStatement | None, Any]:
        """What is known of a statement, and the driver's, if this session has it."""
        if (found := self._prepared.get(key)) is not None:
            return found
        known = self.known.get((self._user, key))
        has_met = known is not None and not self.types.unknown(known.types)
        return (known if has_met else None), None

    def _remember(self, key: str, known: KnownStatement, prepared: Any) -> None:
        if self._prepared.get(key) != (known, prepared):
            self._prepared.put(key, (known, prepared), self._prepared.version)
            self.known.put((self._user, key), known, self.known.version)

    def _check_known(self, description: Description | None, *, has_ended: bool) -> None:
        """
        Args:
            has_ended: its parameters were read as what they are by now, and that is kept.
        """
        if description is None:
            return
        self._raise_failure()
        if description.differs or (description.is_retyped and not has_ended):
            raise DescriptionChanged

    def _described(self, prepared: Any) -> KnownStatement:
        parameters = tuple(type_.oid for type_ in prepared._get_parameters())
        return KnownStatement(self._columns(prepared), parameters)

    def _encoded(
        self, known: KnownStatement, parameter_lists: ParameterLists, *, by_value: bool = False
    ) -> list[list[str | None]]:
        """The texts of the parameters.

        Args:
            by_value: none may depend on more than its value, as a list's does on its type.

        Raises:
            InvalidParameter: one of them does not fit.
        """
        types = self.types
        lists = (
            parameter_lists([types[oid] for oid in known.parameters])
            if callable(parameter_lists)
            else parameter_lists
        )
        if by_value and any(isinstance(each, list | dict) for values in lists for each in values):
            raise InvalidParameter
        return [encode_all(values, known.parameters, types) for values in lists]

    def _send_known(self, statement: str, known: KnownStatement) -> Description:
        """Send the beginning, and what has the statement parsed and described, along with its
        execution."""
        self._check_not_ended()
        self._check_begun()
        if self._beginning:
            self._send_beginning()
        self._sent_whole = self._sent_whole or self._is_beginning
        description = Description(known.parameters, known.fields)
        self._incoming.take_out_description(description)
        self._transport.hold(messages.parsing(statement))
        return description

    async def _prepare_first(self, statement: str, deadline: float | None) -> Any:
        """The statement described, in the transaction that begins with it, if one does."""
        self._check_begun()
        if self._beginning:
            self._send_beginning()
        elif not self._is_beginning:
            return await self._prepare_statement(statement, deadline)
        try:
            prepared = await self._prepare_statement(statement, deadline)
        except asyncpg.PostgresError:
            self._raise_failure()
            raise
        finally:
            # Where the driver has sent nothing.
            self._transport.release()
        self._raise_failure()
        return prepared

    def _send_beginning(self, *, apart: bool = False) -> None:
        """Send it past the driver, along with what that is about to send itself.

        Args:
            apart: its first statement is executed apart from the rest: where that is refused, what
                comes behind is skipped, even other statements.
        """
        message, self._beginning = self._beginning, ""
        self._is_open = True
        if apart:
            first, _, message = message.partition("; ")
            self._begun = Answers([False, True] if message else [False])
            self._transport.hold(messages.executing(first))
        self._incoming.take_out(self._begun)
        if message:
            self._transport.hold(messages.query(message))

    def _check_not_ended(self) -> None:
        if self._incoming.is_ended:
            # Whoever takes another must not get this one again.
            super().terminate()
            raise asyncpg.ConnectionDoesNotExistError("the session was ended")

    def _check_begun(self) -> None:
        """Nothing is to be sent where it is known by now that what went out ahead was refused."""
        self._is_ahead = False
        if self._is_open:
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self._begun.failure is not None:
            raise self._begun.failure

    async def _prepare_statement(self, statement: str, deadline: float | None) -> Any:
        """The statement described, under no name: the next one replaces it."""
        while True:
            prepared = await self._protocol.prepare(
                "",
                statement,
                self._remaining(deadline),
                record_class=self._protocol.get_record_class(),
            )
            missing = prepared._init_types()
            if not missing:
                break
            if not await self._learn(missing, deadline):
                break
        self._driver.init_codecs(prepared)
        return prepared

    async def _execute_prepared(
        self,
        prepared: Any,
        columns: tuple[Column, ...],
        texts: Sequence[str | None],
        row_limit: int,
        deadline: float | None,
        behind: str,
    ) -> Outcome:
        # A portal that stops at a limit does not say whether there is another row.
        limit = row_limit + 1 if row_limit else 0
        execution = self._protocol.bind_execute(
            prepared, texts, "", limit, True, self._remaining(deadline)
        )
        rows, tag, _ = await (self._with_behind(execution, behind) if behind else execution)
        complete = not row_limit or len(rows) <= row_limit
        if not complete:
            del rows[row_limit:]
        return Outcome(columns, rows, tag.decode() if tag else "", complete)

    async def _with_behind(self, execution: Awaitable[T], message: str) -> T:
        self.end = answers = AnswersBehind()
        self._incoming.take_out_behind(answers)
        self._transport.follow(messages.query(message))
        try:
            done = await execution
        finally:
            if self._transport.forget_following():
                self._incoming.take_out_behind(None)
                self.end = None
            elif answers.is_complete:
                # The driver knows by now.
                self._is_open = False
        if answers.failure is not None:
            raise RefusedBehind from answers.failure
        return done

    async def learn(self, oids: Iterable[int], *, timeout: float | None = None) -> None:
        """Get to know types before values of them are encoded."""
        self._check_open()
        with self._stmt_exclusive_section:
            await self._learn(oids, self._deadline(timeout))

    async def _learn(self, oids: Iterable[int], deadline: float | None) -> bool:
        """Get to know types.

        Returns:
            Whether the server was asked, which takes the place of a statement without a name.
        """
        unknown = self.types.unknown(oids)
        if unknown:
            rows = await self._ask_for_types(unknown, deadline)
            self.types.learn(unknown, rows)
        self._driver.take_as_text(oids)
        return bool(unknown)

    async def _ask_for_types(self, oids: Sequence[int], deadline: float | None) -> list[Any]:
        if self._describe is None:
            self._describe = await self._protocol.prepare(
                "",
                DESCRIBE,
                self._remaining(deadline),
                record_class=self._protocol.get_record_class(),
            )
            self._driver.init_codecs(self._describe)
        else:
            # Its columns are known; parsed again along with its execution, it is one round trip.
            self._describe.mark_unprepared()
        wanted = array_literal([str(oid) for oid in oids], ",")
        rows: list[Any] = await self._protocol.bind_execute(
            self._describe, (wanted,), "", 0, False, self._remaining(deadline)
        )
        return rows

    def _deadline(self, timeout: float | None) -> float | None:
        return None if timeout is None else self._loop.time() + timeout

    def _remaining(self, deadline: float | None) -> Any:
        if deadline is None:
            return NO_TIMEOUT
        return max(SHORTEST_TIMEOUT, deadline - self._loop.time())

    async def _await_cancellation(self) -> None:
        """The driver has sent the cancel request; what does not obey it is cut off."""
        if self.is_closed():
            return
        try:
            await self._protocol._wait_for_cancellation(self.cancel_grace)
        except TimeoutError:
            self.terminate()

    def _check_encoding(self, statement: str) -> None:
        """The server has to read the very characters that were judged before.

        In some encodings a byte of one of our UTF-8 characters takes a following backslash with
        it, and a literal ends elsewhere.
        """
        if not self._reads_utf8:
            self.terminate()
            raise InvalidRequest("client_encoding can't be anything but UTF8")
        if "\0" in statement:
            raise InvalidRequest("The statement has a NUL character")
        if not statement.isascii():
            try:
                statement.encode()
            except UnicodeEncodeError:
                raise InvalidRequest("The statement has half of a surrogate pair") from None

    def terminate(self) -> None:
        self.is_cut_off = self.is_cut_off or not self.is_closed()
        super().terminate()

    @property
    def _reads_utf8(self) -> bool:
        settings: Any = self._protocol.get_settings()
        return bool(settings.client_encoding == "UTF8")

    @property
    def is_reusable(self) -> bool:
        """Whether another call may begin in it."""
        return not self.is_closed() and not self.is_in_transaction() and self._reads_utf8

    def is_in_transaction(self) -> bool:
        # The driver's own asks the protocol, which a closed connection has no more.
        return not self.is_closed() and (self._is_open or super().is_in_transaction())

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        if self._is_ahead:
            await self.begin_now(timeout=timeout)
        message = f"{self._beginning}; {query}" if self._beginning else query
        self._beginning = ""
        try:
            tag = str(await super().execute(message, *args, timeout=timeout))
        finally:
            self._is_open = False
        self._begun.is_complete = True
        return tag

    # What the driver would send on its own.

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float) -> Any:
        await self._learn(typeoids, self._deadline(timeout))
        return (), self._describe

    def get_reset_query(self) -> str:
        return "DISCARD ALL"
