import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import BinaryIO

from core.errors import AppError
from core.postgres.tenant_connection import TenantConnection
from core.settings import Settings
from core.transfer.readers import TABLES, FileFormat, format_of, open_rows
from core.transfer.readers_errors import FileEmpty
from core.transfer.readers_records import Opened
from memory.caller import Caller, Scope
from memory.statements.directory import Access, Directory
from memory.statements.executor import GRACE, Executor
from memory.statements.journal import Journal
from memory.statements.place import Place
from memory.statements.recovery import Recovery
from memory.statements.run import Mode as RunMode
from memory.statements.run import Run
from memory.statements.service import Keep
from memory.transfer.turns import Turns
from memory.transfer.upload_errors import UploadsBusy
from memory.transfer.upload_loading import Loading, Tally
from memory.transfer.upload_plan import Table, find_table, planned
from memory.transfer.upload_schemas import Mode, OnError, UploadData
from memory.transfer.upload_stamps import Stamps, stamps_of

# How many files are taken in at once, by a worker and into one database.
AT_ONCE, AT_ONCE_EACH = 4, 2
# Bodies that a worker has on disk, or receives.
MOST_PRESENT = 64
# Ids and failures; clients of the drop-in mount know no counts, and get every id.
LISTED, LISTED_DROP_IN = 1_000, 10_000
EVERY_ID = 2**31


def tally_for(*, is_drop_in: bool) -> Tally:
    """What is counted, and how much of it listed."""
    return Tally(EVERY_ID, LISTED_DROP_IN) if is_drop_in else Tally(LISTED, LISTED)


class UploadTurns(Turns[int]):
    """By the database's id; who waits has its body on disk, and that is bounded too."""

    def __init__(self) -> None:
        super().__init__(UploadsBusy, at_once=AT_ONCE, each=AT_ONCE_EACH)
        self._present = 0

    @contextmanager
    def present(self) -> Iterator[None]:
        """Around a file from its first byte on.

        Raises:
            UploadsBusy: there are too many.
        """
        if self._present >= MOST_PRESENT:
            raise UploadsBusy
        self._present += 1
        try:
            yield
        finally:
            self._present -= 1


class UploadService:
    """Takes files into tables: all of a file in one transaction, as the owner or as an end user.

    A file's turn is all of it: what waits has its body on disk, and no session.
    """

    def __init__(
        self,
        directory: Directory,
        executor: Executor,
        journal: Journal,
        settings: Settings,
        recovery: Recovery,
    ) -> None:
        self._directory = directory
        self._executor = executor
        self._journal = journal
        self._settings = settings
        self.turns = UploadTurns()
        self._recovery = recovery

    async def upload(
        self, caller: Caller, body: UploadData, tally: Tally, keep: Keep | None, *, is_drop_in: bool
    ) -> Run:
        """
        Args:
            tally: gets what became of the rows.

        Raises:
            NotAuthorized, SpaceNotFound, DatabaseNotFound, FileTypeRefused, FileUnreadable,
            FileTooLarge, FileEmpty, UnknownTable, RowRefused, StatementTimeout, UploadsBusy
        """
        who = self._directory.vouched if is_drop_in else self._directory.as_asked
        access = await who(caller, body)
        caller.require(Scope.SQL_DML)
        kind = body.format or format_of(body.file.name, TABLES if is_drop_in else (*FileFormat,))
        skips = is_drop_in or body.on_error is OnError.SKIP
        place = Place(access.database, body.env, access.end_user)
        text = f'{body.mode} of a {kind} into "{body.table_name}"'
        async with (
            self._journal.entry("upload_data", caller, access, text, body.env.value),
            self.turns.turn(place.database.id, self._settings.upload_timeout),
        ):
            upload = _Upload(self._settings, access, place, body, kind, tally, skips=skips)

            async def work(session: TenantConnection, run: Run) -> None:
                await upload.work(session, run.place)
                if keep is not None:
                    await keep(session, run.place, run)

            if place.end_user is not None and body.mode is Mode.INSERT:
                try:
                    return await self._run(replace(place, end_user=None), work)
                except _LooksDifferent:
                    pass
            return await self._run(place, work)

    async def _run(
        self, place: Place, work: Callable[[TenantConnection, Run], Awaitable[None]]
    ) -> Run:
        try:
            return await self._executor.call(place, work, RunMode())
        except AppError as error:
            await self._recovery.confirm(error, place.database.id)
            await self._recovery.renew(error, place.database.id)
        return await self._executor.call(place, work, RunMode())


class _LooksDifferent(Exception):
    """To the table, an end user's row is not the same as one that the owner copies for him."""


class _Upload:
    def __init__(
        self,
        settings: Settings,
        access: Access,
        place: Place,
        body: UploadData,
        kind: FileFormat,
        tally: Tally,
        *,
        skips: bool,
    ) -> None:
        self._settings, self._access, self._place = settings, access, place
        self._body, self._kind, self._tally, self._skips = body, kind, tally, skips
        self._ends = monotonic() + settings.upload_timeout

    async def work(self, session: TenantConnection, place: Place) -> None:
        """The whole file; from its beginning, where the transaction is run again.

        Args:
            place: who acts, the owner for an end user too.

        Raises:
            _LooksDifferent: he may not.
        """
        self._tally.begin()
        table = await find_table(session, place, self._body.table_name)
        stamps, user = None, self._place.end_user
        if user is not None and place.end_user is None:
            stamps = await stamps_of(session, place, table, user)
            if stamps is None:
                raise _LooksDifferent
        await session.learn([column.type_oid for column in table.columns.values()])
        file: BinaryIO = self._body.file.file
        opened = await asyncio.to_thread(
            open_rows, file, self._kind, self._settings.upload_unpacked_limit
        )
        try:
            await self._load(session, place, opened, table, stamps)
        finally:
            opened.close()
        if not self._tally.succeeded and not self._tally.failed:
            raise FileEmpty("The file has no rows below its names")

    async def _load(
        self,
        session: TenantConnection,
        place: Place,
        opened: Opened,
        table: Table,
        stamps: Stamps | None,
    ) -> None:
        body = self._body
        plan = planned(table, opened.columns, body.mode, body.key, self._place, self._access.acting)
        if stamps is not None:
            plan = replace(plan, constants=stamps.constants, has_ids=stamps.has_ids)
        loading = Loading(
            session,
            place,
            plan,
            self._tally,
            delimiter=opened.delimiter,
            skips=self._skips,
            shows_detail=self._place.end_user is None,
            patience=self._settings.sql_timeout + GRACE,
            ends=self._ends,
        )
        if self._skips:
            # Else what they find is found at the end, when no row can be left out any more.
            await session.execute("SET CONSTRAINTS ALL IMMEDIATE")
        while (batch := await asyncio.to_thread(next, opened.batches, None)) is not None:
            await loading.batch(batch)
