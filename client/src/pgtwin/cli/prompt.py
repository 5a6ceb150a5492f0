"""The prompt of `pgtwin sql`, with history and completion where readline is."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pgtwin.cli import config, sql, statements
from pgtwin.cli.output import Form, note
from pgtwin.cli.session import Refused, ended_with
from pgtwin.errors import PgtwinError

if TYPE_CHECKING:
    from pgtwin import Client

HISTORY = 1000
HELP = r"""\d [TABLE]   the tables, or one table's columns
\env [ENV]   which environment is used, or use another: prod, test, both
\?           this help
\q           leave, as Ctrl-D does
A statement ends with ; and may have several lines. Ctrl-C forgets it."""
_WORDS = (
    "SELECT FROM WHERE GROUP BY ORDER LIMIT OFFSET HAVING JOIN LEFT RIGHT INNER OUTER ON USING"
    " INSERT INTO VALUES UPDATE SET DELETE RETURNING CREATE ALTER DROP TABLE INDEX VIEW COLUMN ADD"
    " PRIMARY KEY FOREIGN REFERENCES UNIQUE CHECK DEFAULT NOT NULL AND OR IN IS LIKE ILIKE BETWEEN"
    " CASE WHEN THEN ELSE END AS DISTINCT UNION ALL EXISTS WITH RECURSIVE ASC DESC count sum avg"
)
KEYWORDS = _WORDS.split()


class Prompt:
    def __init__(
        self, service: "Client", database: int, env: str, form: Form, *, read_only: bool
    ) -> None:
        self._service, self._database, self._env = service, database, env
        self._form, self._read_only = form, read_only
        self._names: Sequence[str] | None = None
        self._matches: list[str] = []

    def run(self) -> None:
        """Until the end of input."""
        readline = self._readline()
        note(r"\? for help, \q to leave")
        try:
            self._loop()
        finally:
            if readline is not None:
                with contextlib.suppress(OSError, config.ConfigError):
                    readline.write_history_file(self._history())

    def _loop(self) -> None:
        typed: list[str] = []
        while True:
            try:
                line = input(f"{self._env}{'-' if typed else '='}> ")
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()
                typed = []
                continue
            if not typed and line.strip().startswith("\\"):
                if line.strip() == "\\q":
                    return
                self._guarded(self._command, line.strip())
                continue
            typed.append(line)
            text = "\n".join(typed)
            if not text.strip():
                typed = []
            elif statements.is_complete(text):
                typed = []
                self._guarded(self._execute, text)

    def _guarded(self, work: Any, text: str) -> None:
        try:
            work(text)
        except KeyboardInterrupt:
            print()
        except (PgtwinError, Refused, OSError, UnicodeEncodeError) as error:
            ended_with(error)

    def _execute(self, text: str) -> None:
        sql.execute(
            self._service, self._database, text, self._env, self._form, read_only=self._read_only
        )
        if statements.first_word(text) in statements.DDL:
            self._names = None

    def _command(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word == "\\d":
            sql.described(self._service, self._database, self._env, rest or None)
        elif word == "\\env" and rest in ("prod", "test", "both"):
            self._env, self._names = rest, None
        elif word == "\\env" and not rest:
            print(self._env)
        elif word == "\\?":
            print(HELP)
        else:
            raise Refused(f"{line} is no command", hint=r"\? shows them")

    def _readline(self) -> Any:
        try:
            import readline
        except ImportError:
            return None
        # Who has no home has no history.
        with contextlib.suppress(OSError, config.ConfigError):
            history = self._history()
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.read_history_file(history)
        readline.set_history_length(HISTORY)
        readline.set_completer(self.complete)
        readline.set_completer_delims(" \t\n,;()=<>*+-/")
        readline.parse_and_bind("tab: complete")
        return readline

    def _history(self) -> Any:
        return config.state_folder() / "history"

    def complete(self, text: str, state: int) -> str | None:
        """What a beginning may become, as readline asks for it."""
        if state == 0:
            beginning = text.lower()
            words = [*self._known(), *KEYWORDS] if text else []
            self._matches = [word for word in words if word.lower().startswith(beginning)]
        return self._matches[state] if state < len(self._matches) else None

    def _known(self) -> Sequence[str]:
        if self._names is None:
            env: Any = "prod" if self._env == "both" else self._env
            found: dict[str, None] = {}
            # Without them there are keywords.
            with contextlib.suppress(PgtwinError):
                for each in self._service.get_schema(self._database, env=env)["tables"]:
                    found[each["name"]] = None
                    found.update(dict.fromkeys(column["name"] for column in each["columns"]))
            self._names = list(found)
        return self._names
