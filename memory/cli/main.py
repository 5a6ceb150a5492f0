"""`pgtwind`: the service's command line."""

import sys

import typer
from alembic.util.exc import CommandError

from core.errors import AppError
from core.postgres.embedded import EmbeddedServerError
from core.postgres.startup import StartupError
from core.settings import SettingsError
from memory.api_keys.errors import KeyCommandError
from memory.cli import admin, keys, serving

ONE_LINE = (
    SettingsError,
    StartupError,
    EmbeddedServerError,
    KeyCommandError,
    CommandError,
    AppError,
)

app = typer.Typer(
    name="pgtwind",
    help="pgtwin: database-as-a-service in one PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serving.serve)
app.command("init")(admin.init)
app.command("migrate")(admin.migrate_command)
app.command("doctor")(admin.doctor)
app.add_typer(keys.app, name="key")


def main() -> None:
    """Run a command; what the operator can mend is one line on standard error and exit 1."""
    try:
        app()
    except ONE_LINE as error:
        typer.echo(f"pgtwind: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
