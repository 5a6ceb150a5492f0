"""The corpora of SQL: attacks that must come to nothing, and statements that must work.

A file is a YAML list of cases on one theme:

    - name: union with another user's rows    # unique in both corpora
      reason: What goes wrong where this is not stopped.      # attacks only
      call: dml               # or ddl
      as: owner               # default end_user: for ddl the call that every client can make
      env: test               # default prod
      setup: [...]            # steps before it; a plain string is DDL as the owner
      sql: SELECT ...
      params: [1, "a"]        # for $1, $2, ...
      expect: refused         # some code other than 0, and nothing done
                              # ok: code 0 (default of the legitimate)
                              # any: only what must hold after every attack counts
      code: 25050             # the exact code, where it is certain; the guard's, if it is on
      rows: [[1, "a"]]        # the rows of the last statement, as the API gives them
      count: 2                # or only how many; of an INSERT the ids that it answers
      then: [...]             # steps after it, by anyone, which meet what it left behind
      needs: [vector]         # what must be there; see NEEDS
      seconds: 20             # by when an answer must have come, if not by DEFAULT_SECONDS

A step is `{who: victim, call: dml, as: end_user, env: prod, sql: ..., params: ..., expect: ...,
rows: ..., count: ...}`; `who` is mallory, victim or owner, `expect` is ok in `setup` and any in
`then` of an attack. The call `clone` (without sql) clones the database as its owner.

Words in braces stand for what is known only when the world is built: see PLACEHOLDERS. They are
names that need no quotes. `<<3 times ab>>` stands for ababab.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import yaml

FOLDER = Path(__file__).parent
TABLES = (FOLDER / "world" / "tables.sql").read_text()
"""Plain DDL of the attacked database, for both environments."""
ROWS_OF_MALLORY = (FOLDER / "world" / "rows_of_mallory.sql").read_text()
ROWS_OF_VICTIM = (FOLDER / "world" / "rows_of_victim.sql").read_text()
"""DML of each end user in prod; the victim's holds CANARY_OF_VICTIM."""
TABLES_OF_OTHER = (FOLDER / "world" / "tables_of_other.sql").read_text()
ROWS_OF_OTHER = (FOLDER / "world" / "rows_of_other.sql").read_text()
"""Another tenant's table and row, which holds CANARY_OF_OTHER."""
CANARY_OF_VICTIM = "CANARY-VICTIM"
CANARY_OF_OTHER = "CANARY-OTHER"
DEFAULT_SECONDS = 15

PLACEHOLDERS = frozenset({
    "own_schema", "own_test_schema", "other_schema", "other_role", "own_ddl_role",
    "own_owner_role", "own_app_role", "victim_uid", "victim_prefixed", "attacker_uid", "app_id",
    "database_id", "other_database_id",
})  # fmt: skip
NEEDS = {
    "vector": "the extension vector",
    "superuser_hardening": "functions revoked from PUBLIC by a superuser",
    "guard": "the guard, for an owner who does it by hand is in his right",
    "pg17": "PostgreSQL 17 or newer",
    "pg18": "PostgreSQL 18 or newer",
}
_TIMES = re.compile(r"<<(\d+) times (.*?)>>")
_PLACEHOLDER = re.compile(r"\{([a-z]+(?:_[a-z]+)+)\}")


class InvalidCase(ValueError):
    """A case of the corpus is not well-formed."""


class Call(StrEnum):
    DML = "dml"
    DDL = "ddl"
    CLONE = "clone"


class Acting(StrEnum):
    END_USER = "end_user"
    OWNER = "owner"


class Who(StrEnum):
    MALLORY = "mallory"
    VICTIM = "victim"
    OWNER = "owner"


class Expect(StrEnum):
    OK = "ok"
    REFUSED = "refused"
    ANY = "any"


@dataclass(frozen=True, kw_only=True)
class Step:
    call: Call = Call.DML
    acting: Acting = Acting.END_USER
    who: Who = Who.MALLORY
    env: str = "prod"
    sql: str = ""
    params: tuple[Any, ...] = ()
    expect: Expect = Expect.OK
    rows: list[list[Any]] | None = None
    count: int | None = None

    def filled(self, words: Mapping[str, str]) -> Self:
        return replace(
            self,
            sql=_filled(self.sql, words),
            params=tuple(_filled(list(self.params), words)),
            rows=_filled(self.rows, words),
        )


@dataclass(frozen=True, kw_only=True)
class Case(Step):
    file: str
    name: str
    reason: str = ""
    code: int | None = None
    setup: tuple[Step, ...] = ()
    then: tuple[Step, ...] = ()
    needs: frozenset[str] = frozenset()
    seconds: float = DEFAULT_SECONDS

    def filled(self, words: Mapping[str, str]) -> Self:
        """The case with every placeholder replaced."""
        return replace(
            super().filled(words),
            setup=tuple(step.filled(words) for step in self.setup),
            then=tuple(step.filled(words) for step in self.then),
        )

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in the order in which they run, itself included."""
        return (*self.setup, self, *self.then)

    def reason_to_skip(self, features: frozenset[str]) -> str | None:
        missing = sorted(self.needs - features)
        return f"needs {', '.join(NEEDS[need] for need in missing)}" if missing else None


def attacks() -> list[Case]:
    return _folder("attacks")


def legitimate() -> list[Case]:
    return _folder("legitimate")


def files(folder: str) -> list[Path]:
    return sorted((FOLDER / folder).glob("*.yaml"))


def by_file(cases: list[Case]) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.file, []).append(case)
    return found


def read(file: str, text: str) -> list[Case]:
    """The cases of one file, named by its folder and stem.

    Raises:
        InvalidCase: a case is not well-formed.
    """
    cases = []
    for raw in yaml.safe_load(text):
        try:
            cases.append(_case(file, raw))
        except (TypeError, ValueError, KeyError) as error:
            raise InvalidCase(f"{file}: {raw!r}: {error}") from error
    return cases


def _folder(folder: str) -> list[Case]:
    paths = files(folder)
    return [case for path in paths for case in read(f"{folder}/{path.stem}", path.read_text())]


def _case(file: str, raw: Mapping[str, Any]) -> Case:
    known = dict(raw)
    attack = file.startswith("attacks/")
    after = Expect.ANY if attack else Expect.OK
    needs = known.pop("needs", [])
    setup = tuple(_step(step, Expect.OK) for step in known.pop("setup", []))
    then = tuple(_step(step, after) for step in known.pop("then", []))
    if attack and not (known.get("reason") and known.get("expect")):
        raise InvalidCase("an attack says its reason and what is expected")
    case = Case(
        file=file,
        name=known.pop("name"),
        setup=setup,
        then=then,
        needs=frozenset([needs] if isinstance(needs, str) else needs),
        **_common(known, Expect.OK),
    )
    if unknown := case.needs - NEEDS.keys():
        raise InvalidCase(f"unknown needs: {unknown}")
    return case


def _step(raw: str | Mapping[str, Any], expect: Expect) -> Step:
    if isinstance(raw, str):
        return Step(**_common({"call": "ddl", "as": "owner", "sql": raw}, expect))
    return Step(**_common(dict(raw), expect))


def _common(raw: dict[str, Any], expect: Expect) -> dict[str, Any]:
    """The keys that a case and a step share, typed; an unknown key is left to the dataclass."""
    raw["call"] = Call(raw.get("call", "dml"))
    raw["acting"] = Acting(raw.pop("as", "end_user"))
    owners = raw["acting"] is Acting.OWNER or raw["call"] is not Call.DML
    raw["who"] = Who(raw.get("who", "owner" if owners else "mallory"))
    raw["expect"] = Expect(raw.get("expect", expect))
    raw["params"] = tuple(raw.get("params", ()))
    if raw.get("env", "prod") not in ("prod", "test"):
        raise InvalidCase(f"unknown env: {raw['env']}")
    raw["sql"] = _TIMES.sub(lambda found: int(found[1]) * found[2], raw.get("sql", ""))
    if bool(raw["sql"]) == (raw["call"] is Call.CLONE):
        raise InvalidCase("every call but clone has its sql")
    if unknown := set(_PLACEHOLDER.findall(f"{raw['sql']}{raw['params']}")) - PLACEHOLDERS:
        raise InvalidCase(f"unknown placeholders: {unknown}")
    return raw


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: words[found[1]], value)
    return [_filled(item, words) for item in value] if isinstance(value, list) else value
