"""Every setting of the service, from the environment and `.env`."""

import os
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.postgres.passwords import derive

# PostgreSQL keeps its timeouts as milliseconds in 31 bits.
MAX_SECONDS = 2_147_483
POSTGRESQL_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")


class SettingsError(Exception):
    """A setting can't be used; the message is one line for the operator."""


class AuthMode(StrEnum):
    KEY = "key"
    GATEWAY = "gateway"


class ReaperInUse(StrEnum):
    """What the reaper does about a database that has expired while it is in use."""

    END = "end"
    WAIT = "wait"


def default_data_dir() -> Path:
    """Root's home can't be entered by the unprivileged user that PostgreSQL runs as."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/pgtwin")
    return Path(platformdirs.user_data_dir("pgtwin"))


class Settings(BaseSettings):
    """One field a setting; its description is the guide's text.

    Raises:
        pydantic.ValidationError: a value is not usable (see `load` for the one-line form).
    """

    model_config = SettingsConfigDict(
        env_prefix="PGTWIN_", env_file=".env", extra="ignore", env_ignore_empty=True
    )

    database_url: SecretStr | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="Your PostgreSQL (15 to 18) as `pgtwind init` prints it; "
        "empty: the embedded server.",
    )
    database_host: str | None = Field(
        None, description="Your PostgreSQL's host, in place of `DATABASE_URL`."
    )
    database_port: int = Field(5432, ge=1, le=65535, description="Its port.")
    database_user: str = Field("pgtwin_control", description="Its login.")
    database_password: SecretStr | None = Field(
        None,
        description="The login's password; empty: the one that `pgtwind init` derives "
        "from PGTWIN_MASTER_SECRET.",
    )
    database_name: str = Field("pgtwin", description="The database in it.")
    owner_url: SecretStr | None = Field(
        None,
        description="The login that runs migrations, as `pgtwind init` prints it; "
        "empty: `serve` migrates nothing and says so where a migration is due.",
    )
    master_secret: SecretStr | None = Field(
        None,
        description="At least 32 characters, from which the passwords of roles are derived; "
        "the embedded server makes its own.",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Where the embedded server keeps its data; "
        "empty: the user's data folder, as root `/var/lib/pgtwin`.",
    )
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(7990, ge=0, le=65535, description="The port to listen on; 0: any free one.")
    workers: int = Field(1, ge=1, le=64, description="Worker processes.")
    auth_mode: AuthMode = Field(
        AuthMode.KEY,
        description="`key`: API keys only. `gateway`: also open `/xingchen-db/v1` "
        "to a gateway that vouches for its callers.",
    )
    gateway_allow: Annotated[list[IPv4Network | IPv6Network], NoDecode] = Field(
        default_factory=list,
        description="Addresses or networks of the gateway, separated by commas.",
    )
    gateway_secret: SecretStr | None = Field(
        None, description="At least 32 characters, with which the gateway signs its requests."
    )
    pool_size: int = Field(20, ge=1, le=1000, description="Connections kept to PostgreSQL.")
    pool_max_overflow: int = Field(20, ge=0, le=1000, description="Connections above that.")
    pool_recycle: float = Field(
        3600, gt=0, le=MAX_SECONDS, description="Seconds after which a connection is replaced."
    )
    pool_timeout: float = Field(
        30, gt=0, le=MAX_SECONDS, description="Seconds to wait for a free connection."
    )
    pool_pre_ping: bool = Field(True, description="Test a connection before it is used.")
    connect_timeout: float = Field(
        10, gt=0, le=MAX_SECONDS, description="Seconds to wait for a new connection."
    )
    startup_timeout: float = Field(
        60,
        gt=0,
        le=MAX_SECONDS,
        description="Seconds to wait for PostgreSQL when the service starts.",
    )
    lock_timeout: float = Field(
        10,
        gt=0,
        le=MAX_SECONDS,
        description="Seconds that a management statement waits for a lock.",
    )
    statement_timeout: float = Field(
        60, gt=0, le=MAX_SECONDS, description="Seconds that a management statement may run."
    )
    pg_bin_dir: Path | None = Field(
        None,
        description="Folder of PostgreSQL's client programs (pg_dump, pg_restore), of the "
        "server's version or newer; empty: those of the embedded server.",
    )
    operation_lease: float = Field(
        30,
        gt=0,
        le=MAX_SECONDS,
        description="Seconds without a sign of life after which a worker's operations are "
        "taken over.",
    )
    idempotency_retention: float = Field(
        86_400,
        gt=0,
        le=MAX_SECONDS,
        description="Seconds for which the answer to a request with an `Idempotency-Key` is given "
        "again.",
    )
    drop_retention: float = Field(
        604_800,
        ge=0,
        le=315_360_000,
        description="Seconds for which a database that was dropped can be restored; 0: it is gone "
        "at once.",
    )
    reaper_in_use: ReaperInUse = Field(
        ReaperInUse.END,
        description="A database that has expired and is in use: `end` its sessions and drop it, or "
        "`wait` until nobody is connected through a connection URI and no call runs in it.",
    )
    sql_timeout: float = Field(
        30, gt=0, le=MAX_SECONDS, description="Seconds that a statement in a database may run."
    )
    sql_transaction_timeout: float = Field(
        50,
        gt=0,
        le=MAX_SECONDS,
        description="Seconds that all statements of one call may take together.",
    )
    sql_lock_timeout: float = Field(
        5,
        gt=0,
        le=MAX_SECONDS,
        description="Seconds that a statement in a database waits for a lock.",
    )
    sql_stream_timeout: float = Field(
        600,
        gt=0,
        le=MAX_SECONDS,
        description="Seconds that an answer to SQL, or an export, may be streamed.",
    )
    sql_row_limit: int = Field(
        1000, ge=1, le=1_000_000, description="Most rows that one answer to SQL may have."
    )
    sql_byte_limit: int = Field(
        8_388_608,
        ge=65_536,
        le=1_073_741_824,
        description="Most bytes that the rows of one answer to SQL may have.",
    )
    sql_sessions: int = Field(
        50,
        ge=1,
        le=10_000,
        description="Sessions in databases that a worker may have, for running SQL in them.",
    )
    sql_sessions_per_login: int = Field(
        8,
        ge=1,
        le=1000,
        description="How many of them one login of a database may have: the tables' owner, or "
        "the end users of one environment.",
    )
    sql_session_idle: float = Field(
        60,
        gt=0,
        le=MAX_SECONDS,
        description="Seconds after which a session in a database that is not used is closed.",
    )
    connection_limit: int = Field(
        10,
        ge=1,
        le=1000,
        description="Sessions that a connection URI may have at a time, where create_connection "
        "does not say.",
    )
    connection_limit_total: int | None = Field(
        None,
        ge=0,
        le=100_000,
        description="Sessions that all connection URIs may have together; empty: what "
        "`max_connections` leaves beside the workers' own.",
    )
    public_database_host: str | None = Field(
        None,
        description="The host in connection URIs, such as a proxy's; empty: the one that the "
        "service uses.",
    )
    public_database_port: int | None = Field(
        None, ge=1, le=65535, description="The port in connection URIs; empty: likewise."
    )
    public_database_sslmode: (
        Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None
    ) = Field(
        None,
        description="The `sslmode` in connection URIs; empty: that of `DATABASE_URL`. `allow` and "
        "`prefer` are left out, for some drivers take no `sslmode`.",
    )
    body_limit: int = Field(1_048_576, ge=1024, description="Largest request body, in bytes.")
    upload_limit: int = Field(
        20_971_520, ge=1024, description="Largest request body of an upload, in bytes."
    )
    upload_unpacked_limit: int = Field(
        209_715_200,
        ge=1024,
        description="Most bytes that an uploaded xlsx or parquet file may have when unpacked.",
    )
    upload_timeout: float = Field(
        600, gt=0, le=MAX_SECONDS, description="Seconds that the rows of an upload may take."
    )
    metrics_token: SecretStr | None = Field(
        None,
        description="At least 32 characters that open `/metrics` as a bearer; empty: it is open "
        "on a loopback address, and elsewhere wants a key with the scope admin.",
    )
    otlp_endpoint: str | None = Field(
        None,
        description="A collector's base URL such as `http://127.0.0.1:4318`, to which traces are "
        "sent as OTLP over HTTP; empty: no traces.",
    )
    slow_query_ms: float = Field(
        1000,
        ge=0,
        le=MAX_SECONDS * 1000,
        description="Milliseconds from which a statement is logged as slow; 0: none is.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )
    log_format: Literal["auto", "human", "json"] = Field(
        "auto", description="`auto`: for people on a terminal, JSON otherwise."
    )

    @field_validator("database_url", "owner_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(postgresql_url(value.get_secret_value()))

    @field_validator("gateway_allow", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [ip_network(part.strip(), strict=False) for part in value.split(",") if part]
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must be an http:// or https:// URL")
        return value

    @field_validator("master_secret", "gateway_secret", "metrics_token")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters")
        return value

    @model_validator(mode="after")
    def _gateway_is_guarded(self) -> Self:
        guarded = bool(self.gateway_allow) or self.gateway_secret is not None
        if self.auth_mode is AuthMode.GATEWAY and not is_loopback(self.host) and not guarded:
            raise ValueError(
                f"PGTWIN_AUTH_MODE=gateway on the public address {self.host} needs "
                "PGTWIN_GATEWAY_ALLOW or PGTWIN_GATEWAY_SECRET"
            )
        return self

    @model_validator(mode="after")
    def _secret_for_foreign_server(self) -> Self:
        if self.dsn is not None and self.master_secret is None:
            raise ValueError(
                "PGTWIN_MASTER_SECRET is required with a PostgreSQL of your own; "
                "`pgtwind init` prints one"
            )
        return self

    @property
    def dsn(self) -> str | None:
        """The control login's URL; None: the embedded server is used."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        if self.database_host is None:
            return None
        login = f"{quote(self.database_user, safe='')}:{quote(self._password, safe='')}"
        host = f"[{self.database_host}]" if ":" in self.database_host else self.database_host
        name = quote(self.database_name, safe="")
        return f"postgresql://{login}@{host}:{self.database_port}/{name}"

    @property
    def connections_a_worker(self) -> int:
        """What one worker may open; one of them listens, and one is looked at by monitoring."""
        return self.pool_size + self.pool_max_overflow + self.sql_sessions + 2

    @property
    def _password(self) -> str:
        if self.database_password is not None:
            return self.database_password.get_secret_value()
        secret = self.master_secret
        return derive(secret.get_secret_value(), self.database_user) if secret else ""

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the settings.

        Raises:
            SettingsError: with one line that names the variable and what is allowed.
        """
        from pydantic import ValidationError

        try:
            return cls(**overrides)
        except ValidationError as error:
            raise SettingsError(_one_line(error.errors())) from None

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable that a field is read from."""
        alias = cls.model_fields[field].validation_alias
        if isinstance(alias, AliasChoices):
            alias = alias.choices[0]
        return str(alias or f"PGTWIN_{field.upper()}")


def _one_line(errors: list[Any]) -> str:
    def line(error: Any) -> str:
        message = str(error["msg"]).removeprefix("Value error, ")
        names = [str(part) for part in error["loc"]]
        if not names:
            return message
        known = Settings.model_fields
        return f"{Settings.variable(names[0]) if names[0] in known else names[0]}: {message}"

    return "; ".join(line(error) for error in errors)


def postgresql_url(url: str) -> str:
    """Normalise a PostgreSQL URL to the scheme that drivers take.

    Raises:
        ValueError: another scheme; the message names the two choices.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in POSTGRESQL_SCHEMES or not rest:
        shown = f"{scheme}://" if rest and scheme.isidentifier() else "this value"
        raise ValueError(
            f"{shown} is not supported: give a postgresql:// URL of a PostgreSQL 15 to 18, "
            "or no DATABASE_URL for the embedded server"
        )
    return f"postgresql://{rest}"


def without_password(url: str) -> str:
    """The URL as it may be shown and logged."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "postgresql://..."
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{host}{parts.path}"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
