"""Judges SQL, and remembers the judgement of what comes again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from core.cache import Cache
from core.metrics import Metrics
from core.sqlguard import Ruleset, Statement, admit, skeleton

# Programs send the same text with other parameters, and agents with other constants; of long texts,
# few come twice.
REMEMBERED, REMEMBERED_CHARACTERS = 2_000, 4_000
# What has more constants is seldom like another.
ALIKE_CHARACTERS = 1_000
# A short text can name a thousand relations, which take more room than it.
REMEMBERED_RELATIONS = 100
# Longer texts take longer to judge than others should wait.
LONG_CHARACTERS = 8_000
Judge = Callable[[str, Ruleset, str | None], Awaitable[Sequence[Statement]]]


class Guard:
    """Admits statements of a set of rules."""

    def __init__(self, metrics: Metrics | None) -> None:
        self._known: Cache[tuple[str, Ruleset, str | None], Sequence[Statement]] = Cache(
            "statements", REMEMBERED, metrics
        )
        # By its skeleton: a single statement, and how much of its text is behind it.
        self._alike: Cache[tuple[str, str | None], tuple[Statement, int]] = Cache(
            "skeletons", REMEMBERED, metrics
        )

    async def __call__(
        self, sql: str, ruleset: Ruleset, own_schema: str | None
    ) -> Sequence[Statement]:
        """The statements of a text.

        Args:
            own_schema: the schema that names may be qualified with.

        Raises:
            AppError: which of them may not be run, and where it says so.
        """
        if len(sql) > LONG_CHARACTERS:
            return await asyncio.to_thread(admit, sql, ruleset, own_schema=own_schema)
        if len(sql) > REMEMBERED_CHARACTERS:
            return admit(sql, ruleset, own_schema=own_schema)
        key = (sql, ruleset, own_schema)
        known = self._known.get(key)
        if known is None:
            known = self._judged(sql, ruleset, own_schema)
            if _are_small(known):
                self._known.put(key, known, self._known.version)
        return known

    def _judged(self, sql: str, ruleset: Ruleset, own_schema: str | None) -> Sequence[Statement]:
        """As a text was that differs in the values of constants only, if there was one."""
        may_be_alike = ruleset is Ruleset.DML and len(sql) <= ALIKE_CHARACTERS
        bones = skeleton(sql, ruleset) if may_be_alike else None
        if bones is not None and (found := self._alike.get((bones, own_schema))) is not None:
            statement, behind = found
            return (replace(statement, sql=sql[statement.offset : len(sql) - behind]),)
        statements = admit(sql, ruleset, own_schema=own_schema, is_checked=bones is not None)
        first, *others = statements
        is_like_others = not (others or first.weighs_constants) and _are_small(statements)
        if bones is not None and is_like_others:
            behind = len(sql) - first.offset - len(first.sql)
            self._alike.put((bones, own_schema), (first, behind), self._alike.version)
        return statements


def _are_small(statements: Sequence[Statement]) -> bool:
    return sum(len(each.relations) for each in statements) <= REMEMBERED_RELATIONS
