"""Mutates the corpora's statements, and looks for one that the guard does not survive.

    python -m tests.fuzz.sqlguard --seconds 60 --seed 1

The guard may admit a text or raise an AppError, within a second; and what it says of a text that
differs from an admitted one in constants only must be what it says of it alone. Anything else ends
the run with the text, as Python writes it, and the seed and number by which it comes again.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import postgast

from core.errors import AppError
from core.sqlguard import Ruleset, SqlUnreadable, admit, skeleton
from memory.statements.judge import Guard
from tests.acceptance.sql.corpus import Call, attacks, legitimate
from tests.acceptance.sql.stand_in import WORDS

SECONDS_EACH = 1.0
# Numbers without and with a dot, and texts.
CONSTANTS = {
    "i": ["0", "54", "999999999"],
    "f": ["0.0", "0.5", "999999999.999999999"],
    "s": ["''", "'pg_class'", "'''--/*$$\\ %999999999s'"],
}
# What scanners and parsers stumble over, and what is refused.
NOISE = [
    "'", "''", "\\", "E'", "e'\\'", "$$", "$a$", "$1", "--", "/*", "*/", "\n", "\r", "\0", ";", ",",
    "(", ")", "[", "]", "::", ".", "..", ":=", "=>", '"', 'U&"\\0070g_x"', "U&'", " UESCAPE '!'",
    "é", "€", "\U0001f600", "\ufeff", "\u00a0", "CASE ", " END ", " NOT ", " AND ", " BETWEEN ",
    " UNION ",
    "WITH a AS (SELECT 1) ", "pg_catalog.", "pg_sleep(1)", "regclass", "TEMP ", "1.", ".5", "1e9",
    "0x1F", "1_000", "9" * 30, "%", "+-", "@", "`", "OPERATOR(a.+)", "BEGIN ATOMIC ", " AS ", "*",
]  # fmt: skip
_SERVANT = """
import json, sys, time
from core.errors import AppError
from core.sqlguard import Ruleset, admit
from tests.fuzz.sqlguard import judged_otherwise
for line in sys.stdin:
    sql, ruleset = json.loads(line)
    started = time.process_time()
    try:
        admit(sql, Ruleset(ruleset), own_schema="own")
        found = "-"
    except AppError as error:
        found = type(error).__name__
        if error.position is not None and not 1 <= error.position <= len(sql) + 1:
            found = f"position {error.position}"
    except BaseException as error:
        found = f"raises {error!r}"
    if found == "-" and ruleset == Ruleset.DML and len(sql) < 2_000:
        found = judged_otherwise(sql) or found
    print(json.dumps([found, time.process_time() - started]), flush=True)
"""


def judged_otherwise(sql: str) -> str:
    """How the judgement of an admitted text is wrong for one with other constants; empty: it is
    not."""
    bones = skeleton(sql, Ruleset.DML)
    if bones is None:
        return ""
    guard, tokens = Guard(None), _tokens(sql)
    asyncio.run(guard(sql, Ruleset.DML, "own"))
    for first in range(len(CONSTANTS["i"])):
        place = itertools.count(first)
        other = re.sub("\0[ifs]", lambda mark: _constant(mark[0][1], next(place)), bones)  # noqa: B023
        if _tokens(other) != tokens:
            return f"other tokens in {other!r}"
        try:
            admitted = repr(admit(other, Ruleset.DML, own_schema="own"))
        except AppError as error:
            if isinstance(error, SqlUnreadable) and "precision for type float" in error.message:
                continue
            admitted = repr(error)
        try:
            alike = repr(asyncio.run(guard(other, Ruleset.DML, "own")))
        except AppError as error:
            alike = repr(error)
        if alike != admitted:
            return f"{alike} for {other!r}"
    return ""


def _constant(kind: str, place: int) -> str:
    values = CONSTANTS[kind]
    return values[place % len(values)]


def _tokens(sql: str) -> list[int]:
    return [token.token for token in postgast.scan(sql).tokens]


@dataclass
class Worker:
    """A process that judges texts, for one of them may end it."""

    process: "subprocess.Popen[str] | None" = field(default=None)

    def judged(self, sql: str, ruleset: Ruleset = Ruleset.DML) -> tuple[str, float]:
        """The name of the error, "-" for none, or what went wrong; and the seconds of work."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SERVANT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([sql, ruleset]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            code = self.process.wait()
            self.close()
            return f"crash {code}", 0.0
        found, seconds = json.loads(answer)
        return found, seconds

    def close(self) -> None:
        if self.process is not None:
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    stream.close()
            self.process.wait()
        self.process = None


@cache
def seeds() -> list[str]:
    filled = [case.filled(WORDS) for case in [*attacks(), *legitimate()]]
    return [
        step.sql
        for case in filled
        for step in case.steps
        if step.call is not Call.CLONE and len(step.sql) < 2_000
    ]


def mutated(choice: random.Random) -> str:
    text = choice.choice(seeds())
    for _ in range(choice.randint(1, 6)):
        text = choice.choice([_swap, _delete, _double, _noise, _splice, _repeat])(text, choice)
    return text[:100_000]


def _swap(text: str, choice: random.Random) -> str:
    words = text.split(" ")
    one, other = choice.randrange(len(words)), choice.randrange(len(words))
    words[one], words[other] = words[other], words[one]
    return " ".join(words)


def _delete(text: str, choice: random.Random) -> str:
    begin, end = _span(text, choice)
    return text[:begin] + text[end:]


def _double(text: str, choice: random.Random) -> str:
    begin, end = _span(text, choice)
    return text[:end] + text[begin:end] + text[end:]


def _repeat(text: str, choice: random.Random) -> str:
    begin, end = _span(text, choice)
    return text[:begin] + text[begin:end] * choice.choice([2, 20, 300, 3_000]) + text[end:]


def _noise(text: str, choice: random.Random) -> str:
    place = choice.randint(0, len(text))
    any_character = chr(choice.choice([choice.randint(1, 127), choice.randint(128, 0xD7FF)]))
    return text[:place] + choice.choice([*NOISE, any_character]) + text[place:]


def _splice(text: str, choice: random.Random) -> str:
    other = choice.choice(seeds())
    return text[: choice.randint(0, len(text))] + other[choice.randint(0, len(other)) :]


def _span(text: str, choice: random.Random) -> tuple[int, int]:
    begin = choice.randint(0, len(text))
    return begin, min(len(text), begin + choice.choice([1, 1, 3, 10, 50]))


def fuzz(seconds: float, seed: int) -> dict[str, Any]:
    """How many texts were judged, and the case that failed, if one did."""
    worker, number, ends = Worker(), 0, time.monotonic() + seconds
    try:
        while time.monotonic() < ends:
            number += 1
            choice = random.Random(f"{seed}/{number}")  # noqa: S311  it must come again
            sql, ruleset = mutated(choice), choice.choice(list(Ruleset))
            found, taken = worker.judged(sql, ruleset)
            if " " in found or taken > SECONDS_EACH:
                problem = f"{found}, {taken:.2f} s"
                return {"number": number, "ruleset": str(ruleset), "sql": sql, "problem": problem}
    finally:
        worker.close()
    return {"number": number, "problem": None}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    found = fuzz(chosen.seconds, chosen.seed)
    if found["problem"]:
        print(f"seed {chosen.seed}, number {found['number']}, {found['ruleset']}")
        print(f"{found['problem']}\n{found['sql']!r}")
        sys.exit(1)
    print(f"{found['number']} texts")


if __name__ == "__main__":
    main()
