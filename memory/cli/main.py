"""`pgtwind`: the service's command line.

What a command does is imported when it runs, so that help and mistakes are quick.
"""

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from memory.caller import Scope

app = typer.Typer(
    name="pgtwind",
    help="pgtwin: database-as-a-service in one PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
key = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)
app.add_typer(key, name="key")


def main() -> None:
    """Run a command; what the operator can mend is one line on standard error and exit 1."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from memory.cli.failures import in_one_line

        line = in_one_line(error)
        if line is None:
            raise
        typer.echo(f"pgtwind: {line}", err=True)
        sys.exit(1)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pgtwin {version('pgtwin-server')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """pgtwin: database-as-a-service in one PostgreSQL."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes.")] = None,
    until_eof: Annotated[
        bool,
        typer.Option(
            "--until-eof",
            help="End when standard input does: for programs that start a service and may be "
            "killed before they end it.",
        ),
    ] = False,
) -> None:
    """Serve the API, with the embedded PostgreSQL unless DATABASE_URL names another."""
    # prometheus-client would count into this folder, whosever it is, from its import on.
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        os.environ.pop(name, None)
    from memory.cli import serving

    given = {"host": host, "port": port, "workers": workers}
    overrides = {name: value for name, value in given.items() if value is not None}
    serving.serve(until_eof=until_eof, **overrides)


@app.command()
def init(
    admin_url: Annotated[
        str,
        typer.Option(
            envvar="PGTWIN_ADMIN_URL",
            help="postgresql:// URL of the database for pgtwin, as a superuser or as a login "
            "with CREATEROLE that owns or may create it.",
        ),
    ],
    new_secret: Annotated[
        bool,
        typer.Option(
            "--new-secret",
            help="Replace the secret that the server was prepared with; its services and the "
            "logins of its databases need the new one.",
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            help="Print no settings: the service finds the server through PGTWIN_DATABASE_HOST "
            "and derives its password from the same PGTWIN_MASTER_SECRET.",
        ),
    ] = False,
) -> None:
    """Prepare your PostgreSQL (15 to 18) once and print the settings to use."""
    from memory.cli import admin

    admin.init(admin_url, new_secret=new_secret, quiet=quiet)


@app.command()
def migrate(
    to: Annotated[str, typer.Option(help="A revision, head, base, or a step such as -1.")] = "head",
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL and change nothing.")] = False,
) -> None:
    """Bring the control schema to a revision."""
    from memory.cli import admin

    admin.migrate(to, sql=sql)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Mend where catalog and control schema differ: complete what has a live "
            "database, drop what has none.",
        ),
    ] = False,
) -> None:
    """Check the server, the login's rights, the settings, and catalog against control schema.

    Exits with 1 when there is a problem; warnings do not count.
    """
    from memory.cli import admin

    admin.doctor(as_json=as_json, repair=repair)


@app.command()
def health(
    url: Annotated[
        str | None, typer.Option(help="Address of the service; default: where `serve` listens.")
    ] = None,
) -> None:
    """Ask a running service whether it is ready; exits with 1 when it is not."""
    from memory.cli import health

    health.ask(url)


@key.command("create")
def create_key(
    uid: Annotated[str | None, typer.Option(help="The uid that the key acts for.")] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do; give it again for more.")
    ] = None,
    space: Annotated[
        list[str] | None, typer.Option(help="A space it is a member of; * stands for all.")
    ] = None,
    app_id: Annotated[
        str | None, typer.Option("--app", help="The application it belongs to.")
    ] = None,
    name: Annotated[str, typer.Option(help="A name, for `pgtwind key list`.")] = "",
    expires_in: Annotated[
        str | None, typer.Option(help="How long it works: 90s, 30m, 12h, 30d.")
    ] = None,
) -> None:
    """Make a key and print it; it can't be shown again.

    Without a scope, the key of a uid may do all that its uid may, but for giving out connections,
    and the key of an application alone run SQL for its end users.
    """
    from memory.cli import keys

    keys.create(
        uid=uid,
        scopes=scope or (),
        spaces=space or (),
        app_id=app_id,
        name=name,
        expires_in=expires_in,
    )


@key.command("list")
def list_keys() -> None:
    """List the keys; their secrets are not kept."""
    from memory.cli import keys

    keys.show_all()


@key.command("revoke")
def revoke_key(
    prefix: Annotated[str, typer.Argument(help="The key, or its first part.")],
) -> None:
    """End a key at once."""
    from memory.cli import keys

    keys.revoke(prefix)


@key.command("rotate")
def rotate_key(
    prefix: Annotated[str, typer.Argument(help="The key, or its first part.")],
    overlap: Annotated[str, typer.Option(help="How long the old key still works.")] = "24h",
) -> None:
    """Make a key with the same rights and print it; the old one ends a while later."""
    from memory.cli import keys

    keys.rotate(prefix, overlap)


if __name__ == "__main__":
    main()
