"""Takes a file's batches into a table, within one transaction."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from time import monotonic
from typing import Any

import asyncpg
import orjson

from core.errors import StatementTimeout
from core.postgres.errors import one_line, sqlstate
from core.postgres.tenant_connection import TenantConnection
from core.transfer.readers_records import Batch, Record
from memory.statements.place import Place
from memory.transfer.upload_errors import RowRefused
from memory.transfer.upload_plan import TEXT_FORM, Plan, changing, copying, csv_form
from memory.transfer.upload_rows import (
    Failure,
    Row,
    arrays,
    by_distinct_keys,
    copy_text,
    csv_of,
    rows_of,
    with_ids,
)
from memory.transfer.upload_schemas import Mode
from memory.transfer.upload_stamps import new_ids

# Rows of one statement, where they are not copied.
PORTION = 1_000
# Classes of what is not one row's fault; of 42, a right is, under row security.
_OF_THE_CALL = frozenset({"08", "0A", "25", "3F", "40", "42", "53", "55", "57", "58", "F0", "XX"})
_NOT_PERMITTED = "42501"
# Raised by pgtwin_rt.stamp(): no row of this user fits.
_USER_TOO_LONG = "PGT01"


@dataclass(slots=True)
class Tally:
    """What became of the rows.

    Attributes:
        ids: as JSON, of the first rows.
        failures: the first of them.
    """

    most_ids: int
    most_failures: int
    ids: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    succeeded: int = 0
    failed: int = 0

    def begin(self) -> None:
        """Also where a transaction is run again."""
        self.ids, self.failures = [], []
        self.succeeded = self.failed = 0

    @property
    def wanted_ids(self) -> int:
        return self.most_ids - len(self.ids)

    def stored(self, number: int, ids: Sequence[str | None] = ()) -> None:
        self.succeeded += number
        room = self.wanted_ids
        self.ids += [each for each in ids[:room] if each not in (None, "null")]

    def data(self, seconds: float, *, is_drop_in: bool) -> dict[str, Any]:
        """The answer's data."""
        failures = sorted(self.failures, key=lambda failure: failure.line)
        listed = {
            "success_rows": [orjson.Fragment(each) for each in self.ids],
            "failed_rows": [{"line": each.line, "error": each.reason} for each in failures],
        }
        if is_drop_in:
            return listed
        counted = {"succeeded": self.succeeded, "failed": self.failed}
        return listed | counted | {"exec_time": round(seconds, 6)}

    def refused(self, failure: Failure) -> None:
        self.failed += 1
        if len(self.failures) < self.most_failures:
            self.failures.append(failure)


class Loading:
    """
    Args:
        place: where, and who acts.
        skips: rows that fail are left out; else the first ends it.
        shows_detail: whoever uploads may see all rows of the table.
        patience: seconds for one statement.
        ends: when all of it must be done, by the monotonic clock.
    """

    def __init__(
        self,
        session: TenantConnection,
        place: Place,
        plan: Plan,
        tally: Tally,
        *,
        delimiter: str,
        skips: bool,
        shows_detail: bool,
        patience: float,
        ends: float,
    ) -> None:
        self._session, self._plan = session, plan
        self._delimiter, self._shows_detail = delimiter.encode(), shows_detail
        self._tally, self._skips = tally, skips
        self._patience, self._ends = patience, ends
        # COPY is refused under row security, and changes nothing that is there.
        self._copies = (
            place.end_user is None and plan.mode is Mode.INSERT and not plan.table.is_forced
        )
        self._copy_csv = copying(plan, csv_form(plan, delimiter))
        self._copy_text = copying(plan, TEXT_FORM)
        self._change = changing(plan)
        constants = [text.replace('"', '""') for _, text in plan.constants]
        self._suffix = "".join(f'{delimiter}"{text}"' for text in constants).encode()

    async def batch(self, batch: Batch) -> None:
        """
        Raises:
            RowRefused: a row that ends it.
            StatementTimeout
        """
        plan = self._plan
        # Those that the service makes are known before.
        asks_ids = plan.table.has_id and not plan.has_ids and self._tally.wanted_ids > 0
        if self._copies and not asks_ids and await self._copied_as_csv(batch):
            return
        rows = await self._rows(batch.records)
        first = self._tally.wanted_ids if asks_ids else 0
        if not self._copies:
            first = len(rows)
        for start in range(0, first, PORTION):
            await self._store(rows[start : min(start + PORTION, first)], copies=False)
        if rows[first:]:
            await self._store(rows[first:], copies=True)

    async def _rows(self, records: Any) -> list[Row]:
        rows, failures = await asyncio.to_thread(
            lambda: rows_of(records(), self._plan, self._session.types)
        )
        for failure in failures:
            self._refuse(failure)
        return with_ids(rows, await self._new_ids(len(rows))) if self._plan.has_ids else rows

    async def _copied_as_csv(self, batch: Batch) -> bool:
        """Copy a batch without taking its values for what they are, if that can be."""
        plan, ids = self._plan, list[str]()
        if plan.is_whole and not plan.has_ids:
            data = await asyncio.to_thread(batch.copied, self._suffix)
        else:
            fields = await asyncio.to_thread(batch.fields, plan.width)
            if fields is None:
                return False
            if plan.has_ids:
                ids = await self._new_ids(len(fields))
            data = await asyncio.to_thread(csv_of, fields, plan, self._delimiter, self._suffix, ids)
        if data is not None:
            await self._copy_whole(batch, data, ids)
        return data is not None

    async def _new_ids(self, number: int) -> list[str]:
        return await new_ids(self._session, number) if number else []

    async def _copy_whole(self, batch: Batch, data: bytes, ids: Sequence[str]) -> None:
        """A batch as it is; where that fails, by its rows."""
        if not data:
            return
        try:
            if self._skips:
                await self._session.execute("SAVEPOINT pgtwin_batch")
            done = await self._session.copy_in(self._copy_csv, data, timeout=self._left())
            self._tally.stored(done, ids)
            if self._skips:
                await self._session.execute("RELEASE SAVEPOINT pgtwin_batch")
        except asyncpg.PostgresError as error:
            if not _is_of_a_row(error):
                raise
            records = await asyncio.to_thread(batch.records)
            at = _line_of(error, self._plan.table.name)
            if not self._skips:
                raise self._refusal(
                    _failure_in(records, at, self._explained(error), error)
                ) from error
            await self._session.execute("ROLLBACK TO SAVEPOINT pgtwin_batch")
            await self._store(await self._rows(lambda: records), copies=True)

    async def _store(self, rows: list[Row], *, copies: bool) -> None:
        """Rows, but for those that fail: what is around them is tried without them."""
        pending = [rows]
        while pending:
            part = pending.pop()
            if not part:
                continue
            has_savepoint = self._skips or not copies
            try:
                if has_savepoint:
                    await self._session.execute("SAVEPOINT pgtwin_rows")
                done = await (self._copied(part) if copies else self._changed(part))
                if has_savepoint:
                    await self._session.execute("RELEASE SAVEPOINT pgtwin_rows")
            except asyncpg.PostgresError as error:
                if not _is_of_a_row(error):
                    raise
                at = _line_of(error, self._plan.table.name) if copies else 0
                at = at - 1 if 0 < at <= len(part) else 0 if len(part) == 1 else -1
                reason = self._explained(error)
                if not has_savepoint and at < 0:
                    raise self._refusal(_between(part, reason, error)) from error
                if has_savepoint:
                    await self._session.execute("ROLLBACK TO SAVEPOINT pgtwin_rows")
                if at >= 0:
                    self._refuse(Failure(part[at].line, reason, sqlstate(error)), error)
                    pending += [part[at + 1 :], part[:at]]
                else:
                    middle = len(part) // 2
                    pending += [part[middle:], part[:middle]]
            else:
                self._tally.stored(*done.stored)
                for row in done.missed:
                    self._refuse(Failure(row.line, "no row that you see has this key"))

    async def _copied(self, rows: list[Row]) -> "Done":
        data = await asyncio.to_thread(copy_text, rows)
        done = await self._session.copy_in(self._copy_text, data, timeout=self._left())
        return Done(done, [row.texts[-1] for row in rows] if self._plan.has_ids else [])

    async def _changed(self, rows: list[Row]) -> "Done":
        if self._plan.mode is Mode.INSERT:
            return await self._change_with(rows)
        done = Done()
        for portion in by_distinct_keys(rows, self._plan):
            done.add(await self._change_with(portion))
        if self._plan.mode is Mode.UPDATE and done.missed and len(done.missed) < len(rows):
            # One may have the key of another in other words.
            missed, done.missed = done.missed, []
            done.add(await self._change_with(missed))
        return done

    async def _change_with(self, rows: list[Row]) -> "Done":
        given = await asyncio.to_thread(arrays, rows)
        outcome = await self._session.run(self._change, given, timeout=self._left())
        ids = [row[0] for row in outcome.rows]
        if self._plan.mode is not Mode.UPDATE:
            return Done(outcome.affected or 0, ids)
        found = {int(row[1] or 0) for row in outcome.rows}
        missed = [row for number, row in enumerate(rows, 1) if number not in found]
        return Done(len(found), ids, missed)

    def _left(self) -> float:
        left = self._ends - monotonic()
        if left <= 0:
            raise StatementTimeout("The upload took longer than PGTWIN_UPLOAD_TIMEOUT")
        return min(left, self._patience)

    def _refuse(self, failure: Failure, cause: BaseException | None = None) -> None:
        if not self._skips:
            raise self._refusal(failure) from cause
        self._tally.refused(failure)

    def _refusal(self, failure: Failure) -> RowRefused:
        return RowRefused(
            f"Line {failure.line}: {failure.reason}",
            sqlstate=failure.sqlstate,
            details=[{"line": failure.line, "error": failure.reason}],
        )

    def _explained(self, error: asyncpg.PostgresError) -> str:
        """DETAIL may quote rows of others: it is for the owner."""
        detail = getattr(error, "detail", None)
        shows = detail and self._shows_detail
        return f"{one_line(error)} ({detail})" if shows else one_line(error)


@dataclass(slots=True)
class Done:
    """
    Attributes:
        missed: rows whose key is nowhere.
    """

    number: int = 0
    ids: list[str | None] = field(default_factory=list)
    missed: list[Row] = field(default_factory=list)

    @property
    def stored(self) -> tuple[int, list[str | None]]:
        return self.number, self.ids

    def add(self, other: "Done") -> None:
        self.number += other.number
        self.ids += other.ids
        self.missed += other.missed


def _is_of_a_row(error: asyncpg.PostgresError) -> bool:
    state = sqlstate(error) or ""
    if state == _USER_TOO_LONG:
        return False
    return state == _NOT_PERMITTED or state[:2] not in _OF_THE_CALL


def _line_of(error: asyncpg.PostgresError, table: str) -> int:
    """The line of what was copied at which it failed; 0: that is not said."""
    context = getattr(error, "context", None) or ""
    found = re.search(rf"^COPY {re.escape(table)}, line (\d+)", context, re.MULTILINE)
    return int(found[1]) if found else 0


def _failure_in(
    records: Sequence[Record], copied_line: int, reason: str, error: asyncpg.PostgresError
) -> Failure:
    """The failure of the record that ends at a line of its batch."""
    if copied_line:
        ends = accumulate(record.height for record in records)
        for record, end in zip(records, ends, strict=True):
            if end >= copied_line:
                return Failure(record.line, reason, sqlstate(error))
    return _between(records, reason, error)


def _between(rows: Sequence[Row | Record], reason: str, error: asyncpg.PostgresError) -> Failure:
    lines = f"(between this line and line {rows[-1].line})"
    return Failure(rows[0].line, f"{reason} {lines}", sqlstate(error))
