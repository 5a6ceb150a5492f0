import sys
from typing import TYPE_CHECKING, Any

from pgtwin.cli import statements
from pgtwin.cli.output import Form, note, show_many, table
from pgtwin.cli.session import USAGE, Refused, Sql, client, database_id, decoded, read
from pgtwin.models import Result, Statement

if TYPE_CHECKING:
    from pgtwin import Client


def run(
    database: str,
    statement: str | None,
    file: str | None,
    env: str,
    params: list[str] | None,
    form: Form,
    *,
    read_only: bool,
) -> None:
    if statement is not None and file is not None:
        raise Refused("give a statement or --file, one of them", USAGE)
    text = _text(statement, file)
    with client() as service:
        found = database_id(service, database)
        if text is None:
            from pgtwin.cli.prompt import Prompt

            Prompt(service, found, env, form, read_only=read_only).run()
            return
        execute(service, found, text, env, form, params=params, read_only=read_only)


def execute(
    service: "Client",
    database: int,
    text: str,
    env: str,
    form: Form | None,
    *,
    params: list[str] | None = None,
    read_only: bool = False,
) -> None:
    """Send a text, and show what each statement gave.

    Args:
        form: None: show nothing.

    Raises:
        PgtwinError, Refused
    """
    text = statements.normalised(text)
    parts = list(statements.parts(text))
    if params is not None and (len(parts) != 1 or parts[0].is_ddl):
        raise Refused("--param is for one statement that reads or changes rows", USAGE)
    environment: Any = "prod" if env == "both" else env
    for number, part in enumerate(parts, 1):
        Sql.text, Sql.start = text, part.start
        try:
            if part.is_ddl:
                if read_only:
                    raise Refused("--read-only refuses what changes tables", USAGE)
                service.exec_ddl(database, part.text, env=env, as_="owner")  # type: ignore[arg-type]
                done = None
            else:
                done = service.exec_dml(
                    database,
                    part.text,
                    env=environment,
                    params=params,
                    read_only=read_only or None,
                    rows="objects" if form in (Form.JSON, Form.NDJSON) else "arrays",
                )
        except Exception:
            if number > 1:
                note(
                    f"what came before is kept: {number - 1} of {len(parts)} transactions are done"
                )
            raise
        if form is not None:
            _show(form, done, part)
    if form is Form.JSON and not parts:
        show_many(form, [], ())


def _text(statement: str | None, file: str | None) -> str | None:
    """What is to be run; None: it is typed at a prompt."""
    if file is not None and file != "-":
        return read(file)
    if statement == "-" or file == "-" or (statement is None and not sys.stdin.isatty()):
        return decoded(sys.stdin.buffer.read(), "standard input")
    return statement


def _show(form: Form, done: Result | None, part: statements.Part) -> None:
    if done is None:
        if form is Form.TABLE:
            count = len(list(statements.statements(part.text)))
            print("done" if count == 1 else f"done: {count} statements")
        return
    if form is not Form.TABLE:
        show_many(form, done.rows, ())
    else:
        returns = "returning" in part.text.lower()
        for each in done.statements:
            _show_statement(each, returns=returns)


def _show_statement(done: Statement, *, returns: bool) -> None:
    # The service tells the ids of new rows unasked.
    if done.columns and (returns or done.command != "INSERT"):
        table([column.name for column in done.columns], [list(row) for row in done.rows])
        more = ", and there are more" if done.truncated else ""
        print(f"({len(done.rows)} {'row' if len(done.rows) == 1 else 'rows'}{more})")
    else:
        affected = "" if done.affected is None else f" {done.affected}"
        print(f"{done.command}{affected}")


def described(service: "Client", database: int, env: str, name: str | None) -> None:
    """The tables of an environment, or the columns of one."""
    environment: Any = "prod" if env == "both" else env
    if name is None:
        found = service.get_schema(database, env=environment)["tables"]
        show_many(Form.TABLE, found, ("name", "kind", "rows"))
        return
    tables = service.get_schema(database, env=environment, tables=[name])["tables"]
    if not tables:
        raise Refused(f'there is no table "{name}"')
    show_many(Form.TABLE, tables[0]["columns"], ("name", "type", "nullable", "default"))
