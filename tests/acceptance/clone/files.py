"""The corpus: one feature a file, run as the owner of an environment in its own schema.

A file begins with a comment that says what it is about. Further comment lines mean:
`-- from: 18` the oldest server it runs on; `-- needs: vector` what must be built in or installed;
`-- commit` ends a transaction; `-- then: <statement>` is tried on the source after it was cloned,
and on the copy after the source was dropped: both must answer the same; `-- refused: table` a
word that the refusal must hold, for what can't be copied.
"""

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class CorpusFile:
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def about(self) -> str:
        return self.text.partition("\n")[0].removeprefix("--").strip()

    def reason_to_skip(self, major: int, features: Set[str]) -> str | None:
        """Why a server can't run it; None: it can."""
        oldest = int("".join(self._marked("from")) or 0)
        if major < oldest:
            return f"needs PostgreSQL {oldest}"
        missing = set(self._marked("needs")) - features
        return f"needs {', '.join(sorted(missing))}" if missing else None

    @property
    def refused_for(self) -> str | None:
        return next(iter(self._marked("refused")), None)

    def transactions(self, words: dict[str, str]) -> list[str]:
        return re.split(r"(?m)^-- commit$", replaced(self.text, words))

    def then(self, words: dict[str, str]) -> list[str]:
        return [replaced(statement, words) for statement in self._marked("then")]

    def _marked(self, mark: str) -> list[str]:
        return re.findall(rf"(?m)^-- {mark}: (.*)$", self.text)


def corpus() -> list[CorpusFile]:
    return [CorpusFile(path) for path in sorted(FOLDER.glob("*.sql"))]


def corpus_file(name: str) -> CorpusFile:
    return CorpusFile(FOLDER / f"{name}.sql")


def replaced(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace("{" + word + "}", value)
    return text
