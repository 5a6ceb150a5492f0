"""`pgtwin`: the command line.

What a command does is imported when it runs, so that each starts at once.
"""

import os
import sys
from typing import Annotated, Any

import typer

from pgtwin._version import VERSION
from pgtwin.cli.output import Form, prepare
from pgtwin.cli.session import INTERRUPTED, State

app = typer.Typer(
    name="pgtwin",
    help="Databases from a pgtwin service.",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 usage, 3 no answer, 4 no right, "
    "5 not found, 6 server of another version, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
databases = typer.Typer(
    help="Create, list, clone, drop and restore databases.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
operations = typer.Typer(
    help="Look at work that takes a while.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(databases, name="databases")
app.add_typer(operations, name="operations")

Which = Annotated[str, typer.Argument(metavar="DATABASE", help="Its id, or its name.")]
Output = Annotated[
    Form, typer.Option("--output", "-o", envvar="PGTWIN_OUTPUT", help="What is printed.")
]
Env = Annotated[str, typer.Option(help="The environment: prod or test.")]
Ttl = Annotated[str | None, typer.Option(help="It is dropped by itself after 90s, 15m, 2h, 7d ...")]
Label = Annotated[
    list[str] | None, typer.Option("--label", "-l", help="A label key=value; may be repeated.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def main() -> None:
    """Run a command; what went wrong is told in a line, with an exit code of its own."""
    prepare()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever reads has gone, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        from pgtwin.cli.session import ended_with

        if os.environ.get("PGTWIN_DEBUG"):
            raise
        code = ended_with(error)
        if code is None:
            raise
        sys.exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pgtwin {VERSION}")
        raise typer.Exit


def _checked(env: str, allowed: tuple[str, ...] = ("prod", "test")) -> Any:
    if env not in allowed:
        raise typer.BadParameter(f"'{env}' is none of {', '.join(allowed)}")
    return env


@app.callback()
def options(
    profile: Annotated[
        str | None, typer.Option("--profile", help="A profile of `pgtwin login`.")
    ] = None,
    uid: Annotated[
        str | None,
        typer.Option("--uid", envvar="PGTWIN_UID", help="For whom, with an administrator's key."),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Databases from a pgtwin service."""
    State.profile, State.uid = profile, uid


@app.command()
def login(
    url: Annotated[str, typer.Option(help="Address of the service.")] = "http://127.0.0.1:7990",
    key_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read the API key from standard input.")
    ] = False,
    profile: Annotated[str, typer.Option(help="Under which name it is kept.")] = "default",
) -> None:
    """Keep a service's address and an API key in a profile."""
    from pgtwin.cli import account

    account.login(url, profile, key_stdin=key_stdin)


@app.command()
def whoami(output: Output = Form.TABLE) -> None:
    """Show which service is used, and whether its key works."""
    from pgtwin.cli import account

    account.whoami(output)


@databases.command("create")
def databases_create(
    name: Annotated[str, typer.Argument(help="1 to 20 letters, digits, underscores.")],
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    ttl: Ttl = None,
    label: Label = None,
    protected: Annotated[bool, typer.Option("--protected", help="It can't be dropped.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Create a database with its two environments, prod and test."""
    from pgtwin.cli import databases as work

    work.create(name, description, ttl, label, output, protected=protected)


@databases.command("list")
def databases_list(
    prefix: Annotated[str | None, typer.Option(help="Only names that begin so.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", help="Only with this key=value or key; may be repeated."),
    ] = None,
    dropped: Annotated[bool, typer.Option("--dropped", help="Those to be restored, too.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """List databases, the newest first."""
    from pgtwin.cli import databases as work

    work.list_all(prefix, label, output, dropped=dropped)


@databases.command("get")
def databases_get(database: Which, output: Output = Form.TABLE) -> None:
    """Show a database in a few lines."""
    from pgtwin.cli import databases as work

    work.get(database, output)


@databases.command("describe")
def databases_describe(database: Which, output: Output = Form.TABLE) -> None:
    """Show all there is to know of a database."""
    from pgtwin.cli import databases as work

    work.describe(database, output)


@databases.command("clone")
def databases_clone(
    database: Which,
    new_name: Annotated[str, typer.Argument(help="Of the copy.")],
    env: Annotated[str, typer.Option(help="What is copied: prod, test or both.")] = "both",
    no_data: Annotated[bool, typer.Option("--no-data", help="Copy no rows.")] = False,
    ttl: Ttl = None,
    label: Label = None,
    output: Output = Form.TABLE,
) -> None:
    """Copy a database into a new one."""
    from pgtwin.cli import databases as work

    _checked(env, ("prod", "test", "both"))
    work.clone(database, new_name, env, ttl, label, output, no_data=no_data)


@databases.command("drop")
def databases_drop(
    database: Annotated[
        str | None, typer.Argument(metavar="[DATABASE]", help="Its id, or its name.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", help="All with this key=value; may be repeated."),
    ] = None,
    purge: Annotated[bool, typer.Option("--purge", help="For good: no restoring.")] = False,
    yes: Yes = False,
    output: Output = Form.TABLE,
) -> None:
    """Drop a database, or all that have some labels."""
    from pgtwin.cli import databases as work

    work.drop(database, label, output, purge=purge, yes=yes)


@databases.command("restore")
def databases_restore(
    database: Annotated[str, typer.Argument(metavar="ID", help="Of the dropped database.")],
    new_name: Annotated[str | None, typer.Option(help="Where the old one is taken.")] = None,
    output: Output = Form.TABLE,
) -> None:
    """Bring a dropped database back."""
    from pgtwin.cli import databases as work

    work.restore(database, new_name, output)


@databases.command("set-expiration")
def databases_set_expiration(
    database: Which,
    ttl: Ttl = None,
    at: Annotated[str | None, typer.Option(help="At this time, as 2027-01-31T18:00.")] = None,
    never: Annotated[bool, typer.Option("--never", help="It does not expire.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Say when a database is dropped by itself."""
    from pgtwin.cli import databases as work

    work.set_expiration(database, ttl, at, output, never=never)


@databases.command("label")
def databases_label(
    database: Which,
    labels: Annotated[
        list[str] | None, typer.Argument(help="key=value ...; none: takes all away.")
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Give a database these labels and no others."""
    from pgtwin.cli import databases as work

    work.set_labels(database, labels, output)


@databases.command("protect")
def databases_protect(
    database: Which,
    off: Annotated[bool, typer.Option("--off", help="It can be dropped again.")] = False,
) -> None:
    """Keep a database from being dropped."""
    from pgtwin.cli import databases as work

    work.protect(database, protected=not off)


@app.command()
def sql(
    database: Which,
    statement: Annotated[
        str | None, typer.Argument(help="SQL; `-`: standard input; none: a prompt.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="A file of SQL.", metavar="PATH")
    ] = None,
    env: Annotated[
        str, typer.Option(help="prod or test; for changes of tables also both.")
    ] = "prod",
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="The value of $1, then of $2 ...")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse what writes.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Run SQL: a statement, a file, or what is typed.

    CREATE, ALTER, DROP, COMMENT and TRUNCATE go to exec_ddl, all else to exec_dml.
    Statements of one kind that follow each other are one transaction, up to 32.
    """
    from pgtwin.cli import sql as work

    _checked(env, ("prod", "test", "both"))
    work.run(database, statement, file, env, param, output, read_only=read_only)


@app.command("connection-string")
def connection_string(
    database: Which,
    env: Env = "prod",
    read_only: Annotated[bool, typer.Option("--read-only", help="It may not write.")] = False,
    ttl: Annotated[str | None, typer.Option(help="It ends after 15m, 2h ...")] = None,
    name: Annotated[str | None, typer.Option(help="To know it by.")] = None,
) -> None:
    """Print the URI of a new connection.

    The URI has the password, which is shown this once.
    """
    from pgtwin.cli import connect

    connect.connection_string(database, _checked(env), ttl, name, read_only=read_only)


@app.command(context_settings={"ignore_unknown_options": True})
def psql(
    database: Which,
    arguments: Annotated[list[str] | None, typer.Argument(help="For psql.")] = None,
    env: Env = "prod",
    read_only: Annotated[bool, typer.Option("--read-only", help="It may not write.")] = False,
) -> None:
    """Open psql on a connection that ends with it."""
    from pgtwin.cli import connect

    connect.psql(database, _checked(env), arguments or [], read_only=read_only)


@app.command()
def upload(
    database: Which,
    table: Annotated[str, typer.Argument(help="Into which the rows go.")],
    file: Annotated[str, typer.Argument(help="csv, xls, xlsx, json, ndjson or parquet.")],
    env: Env = "prod",
    mode: Annotated[str, typer.Option(help="insert, update or upsert.")] = "insert",
    key: Annotated[
        list[str] | None, typer.Option(help="A column by which rows are found; repeatable.")
    ] = None,
    skip: Annotated[bool, typer.Option("--skip", help="Leave out rows that fail.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Put a file's rows into a table."""
    from pgtwin.cli import files

    _checked(mode, ("insert", "update", "upsert"))
    files.upload(database, table, file, _checked(env), mode, key, output, skip=skip)


@app.command()
def export(
    database: Which,
    table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="Whose rows.")] = None,
    query: Annotated[str | None, typer.Option("--sql", help="Or those of a SELECT.")] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="PATH", help="A file; none: standard output.")
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="csv, json, ndjson or parquet; else by the file's name.")
    ] = None,
    env: Env = "prod",
) -> None:
    """Write rows of a table or a SELECT into a file."""
    from pgtwin.cli import files

    files.export(database, table, query, to, format, _checked(env))


@app.command()
def schema(
    database: Which,
    env: Env = "prod",
    ddl: Annotated[bool, typer.Option("--ddl", help="As SQL that makes it again.")] = False,
    output: Output = Form.TABLE,
) -> None:
    """Show what an environment holds."""
    from pgtwin.cli import files

    files.schema(database, _checked(env), output, ddl=ddl)


@operations.command("list")
def operations_list(
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    output: Output = Form.TABLE,
) -> None:
    """List your operations, the newest first."""
    from pgtwin.cli import operations as work

    work.list_all(state, output)


@operations.command("watch")
def operations_watch(
    operation: Annotated[str, typer.Argument(metavar="ID")], output: Output = Form.TABLE
) -> None:
    """Wait for an operation, and show how far it is."""
    from pgtwin.cli import operations as work

    work.watch(operation, output)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run(
    command: Annotated[list[str], typer.Argument(help="What to run, after `--`.")],
    clone_from: Annotated[
        str | None, typer.Option(metavar="DATABASE", help="Copy this one, by id or name.")
    ] = None,
    sql: Annotated[
        str | None, typer.Option("--sql", metavar="FILE", help="Run this SQL first.")
    ] = None,
    env: Annotated[str, typer.Option(help="Which environment DATABASE_URL is of.")] = "prod",
    ttl: Annotated[str, typer.Option(help="It is dropped after that in any case.")] = "1h",
    connection_limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Sessions that the command may have at a time."),
    ] = None,
    wait: Annotated[str, typer.Option(help="How long to wait while others have them all.")] = "5m",
    keep_on_failure: Annotated[
        bool, typer.Option("--keep-on-failure", help="Leave it to be looked at.")
    ] = False,
) -> None:
    """Run a command with a throwaway database.

    The command finds it in DATABASE_URL and in PGHOST, PGPORT, PGUSER, PGPASSWORD
    and PGDATABASE, and its id in PGTWIN_DATABASE_ID. Then the database is dropped,
    and the exit code is the command's.
    """
    from pgtwin.cli import run as work
    from pgtwin.cli.databases import ttl_of

    room = work.Room(_checked(env), connection_limit, ttl_of(wait) or 0)
    code = work.run(command, clone_from, sql, room, ttl, keep=keep_on_failure)
    raise typer.Exit(code)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def dev(
    command: Annotated[
        list[str] | None, typer.Argument(help="What to run; none: serve until Ctrl-C.")
    ] = None,
    port: Annotated[int, typer.Option(help="0: any free one.")] = 0,
    data: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where data stays; none: nowhere.")
    ] = None,
) -> None:
    """Start a service of your own.

    It needs pgtwin-server in the same environment.
    """
    from pgtwin.cli import dev as work

    raise typer.Exit(work.dev(command or [], port, data))


if __name__ == "__main__":
    main()
