"""What may be written into the environment, and how it is refused."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.postgres.passwords import derive
from core.settings import AuthMode, Settings, SettingsError

SECRET = "a-master-secret-of-32-characters-"
LONG = "another-secret-of-32-characters-"
NUMBERS = [
    Settings.variable(name)
    for name, field in Settings.model_fields.items()
    if field.annotation in (int, float)
]
SECONDS = [
    Settings.variable(name)
    for name, field in Settings.model_fields.items()
    if field.annotation is float
]

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load the settings from these variables and no others."""

    def load_from(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Settings.load()

    return load_from


def refusal(load: Load, **variables: str) -> str:
    """The one line with which these variables are refused."""
    with pytest.raises(SettingsError) as caught:
        load(**variables)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        (
            {"HOST": "db.example", "PASSWORD": "p"},
            "postgresql://pgtwin_control:p@db.example:5432/pgtwin",
        ),
        (
            {"HOST": "db.example", "PORT": "6432", "USER": "u", "PASSWORD": "p", "NAME": "n"},
            "postgresql://u:p@db.example:6432/n",
        ),
        (
            {"HOST": "db.example", "USER": "a@b:c", "PASSWORD": "p@:/?#%[] ü'\"", "NAME": "n/m ?"},
            "postgresql://a%40b%3Ac:p%40%3A%2F%3F%23%25%5B%5D%20%C3%BC%27%22@db.example:5432/n%2Fm%20%3F",
        ),
        (
            {"HOST": "2001:db8::1", "PASSWORD": "p"},
            "postgresql://pgtwin_control:p@[2001:db8::1]:5432/pgtwin",
        ),
    ],
)
def test_a_url_given_by_parts_equals_the_same_url_given_whole(
    load: Load, monkeypatch: pytest.MonkeyPatch, parts: dict[str, str], url: str
) -> None:
    variables = {f"PGTWIN_DATABASE_{name}": value for name, value in parts.items()}
    by_parts = load(PGTWIN_MASTER_SECRET=SECRET, **variables).dsn
    for name in variables:
        monkeypatch.delenv(name)
    assert by_parts == load(DATABASE_URL=url).dsn == url


def test_a_login_without_a_password_has_the_one_that_init_gave_it(load: Load) -> None:
    password = derive(SECRET, "pgtwin_control")
    settings = load(PGTWIN_MASTER_SECRET=SECRET, PGTWIN_DATABASE_HOST="db")
    assert settings.dsn == f"postgresql://pgtwin_control:{password}@db:5432/pgtwin"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "PostgreSQL"])
@pytest.mark.parametrize("variable", ["DATABASE_URL", "PGTWIN_OWNER_URL"])
def test_every_way_to_write_postgresql_is_the_same_url(
    load: Load, scheme: str, variable: str
) -> None:
    rest = "u:p%40@[::1]:5/d?sslmode=require"
    settings = load(PGTWIN_MASTER_SECRET=SECRET, **{variable: f"{scheme}://{rest}"})
    secret = settings.owner_url if "OWNER" in variable else settings.database_url
    assert secret is not None
    assert secret.get_secret_value() == f"postgresql://{rest}"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///pgtwin.db",
        "mysql://root:hunter2@db/pgtwin",
        "postgresql+psycopg://root:hunter2@db/pgtwin",
        "root:hunter2@db/pgtwin",
        "postgresql://",
        "://",
        "garbage",
        "two\nlines://hunter2",
    ],
)
def test_a_url_of_another_kind_names_the_two_choices_in_one_line(load: Load, url: str) -> None:
    message = refusal(load, DATABASE_URL=url, PGTWIN_MASTER_SECRET=SECRET)
    assert message.startswith("DATABASE_URL: ")
    assert "embedded server" in message
    assert "PostgreSQL 15 to 18" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("scheme", ["sqlite", "mysql"])
def test_the_refused_scheme_is_named(load: Load, scheme: str) -> None:
    assert f"{scheme}://" in refusal(load, DATABASE_URL=f"{scheme}://x")


@pytest.mark.parametrize("variable", NUMBERS)
@pytest.mark.parametrize("value", ["many", "-1", "12 apples"])
def test_a_wrong_number_names_its_variable(load: Load, variable: str, value: str) -> None:
    assert refusal(load, **{variable: value}).startswith(f"{variable}: ")


@pytest.mark.parametrize("variable", SECONDS)
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_seconds_are_a_finite_number(load: Load, variable: str, value: str) -> None:
    assert refusal(load, **{variable: value}).startswith(f"{variable}: ")


@pytest.mark.parametrize("variable", ["PGTWIN_LOCK_TIMEOUT", "PGTWIN_STATEMENT_TIMEOUT"])
def test_a_timeout_that_postgresql_can_not_hold_is_refused(load: Load, variable: str) -> None:
    # PostgreSQL keeps milliseconds in 31 bits.
    assert refusal(load, **{variable: "2147484"}).startswith(f"{variable}: ")


@pytest.mark.parametrize(
    "variable",
    ["PGTWIN_AUTH_MODE", "PGTWIN_LOG_LEVEL", "PGTWIN_POOL_PRE_PING", "PGTWIN_GATEWAY_ALLOW"],
)
def test_a_wrong_choice_names_its_variable(load: Load, variable: str) -> None:
    assert refusal(load, **{variable: "neither"}).startswith(f"{variable}: ")


def test_all_wrong_variables_are_told_at_once(load: Load) -> None:
    message = refusal(load, PGTWIN_PORT="x", PGTWIN_WORKERS="0", DATABASE_URL="sqlite://x")
    assert all(name in message for name in ("PGTWIN_PORT", "PGTWIN_WORKERS", "DATABASE_URL"))


def test_no_secret_is_shown(load: Load) -> None:
    settings = load(
        DATABASE_URL="postgresql://u:hunter2@db/n",
        PGTWIN_OWNER_URL="postgresql://u:hunter2@db/n",
        PGTWIN_DATABASE_PASSWORD="hunter2",
        PGTWIN_MASTER_SECRET=f"hunter2{SECRET}",
        PGTWIN_GATEWAY_SECRET=f"hunter2{SECRET}",
    )
    assert "hunter2" not in f"{settings!r} {settings!s} {settings.model_dump()}"


@pytest.mark.parametrize("variable", ["PGTWIN_MASTER_SECRET", "PGTWIN_GATEWAY_SECRET"])
def test_a_short_secret_is_refused_and_not_shown(load: Load, variable: str) -> None:
    short = "hunter2" + "x" * 24
    message = refusal(load, **{variable: short})
    assert message == f"{variable}: must have at least 32 characters"
    assert load(**{variable: short + "x"})


def test_a_postgresql_of_ones_own_needs_a_master_secret(load: Load) -> None:
    message = refusal(load, DATABASE_URL="postgresql://u:hunter2@db/n")
    assert message.startswith("PGTWIN_MASTER_SECRET ")
    assert "hunter2" not in message


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "db.example", ""])  # noqa: S104
def test_a_gateway_on_a_public_address_needs_a_guard(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    def load(**options: Any) -> Settings:
        return Settings.load(host=host, auth_mode=AuthMode.GATEWAY, **options)

    with pytest.raises(SettingsError, match="PGTWIN_GATEWAY_ALLOW or PGTWIN_GATEWAY_SECRET"):
        load()
    assert load(gateway_allow="10.0.0.0/8").gateway_allow
    assert load(gateway_secret=LONG).gateway_secret
    assert Settings.load(host=host).auth_mode is AuthMode.KEY


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_a_gateway_on_this_machine_needs_no_guard(host: str) -> None:
    assert Settings.load(host=host, auth_mode=AuthMode.GATEWAY).host == host


def test_addresses_of_the_gateway_are_a_list(load: Load) -> None:
    allowed = load(PGTWIN_GATEWAY_ALLOW="10.0.0.0/8, 192.0.2.7,2001:db8::/32").gateway_allow
    assert list(map(str, allowed)) == ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]


def test_empty_variables_count_as_unset(load: Load) -> None:
    untouched = Settings.load()
    variables = {Settings.variable(name): "" for name in Settings.model_fields}
    assert load(**variables) == untouched


def test_the_env_file_is_read_and_the_environment_goes_before_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# a comment\nPGTWIN_PORT=7\nPGTWIN_WORKERS=3\nDATABASE_URL=postgresql://u@db/n\n"
        f"PGTWIN_MASTER_SECRET={SECRET}\nSOMETHING_ELSE=1\n"
    )
    code = (
        "from core.settings import Settings; s = Settings.load(); print(s.port, s.workers, s.dsn)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PGTWIN_WORKERS": "4", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.split() == ["7", "4", "postgresql://u@db/n"]
