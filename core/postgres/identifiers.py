"""The only way a schema or role name enters SQL."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

# PostgreSQL's NAMEDATALEN less one; longer names are cut without a word.
MAX_BYTES = 63
_DIGEST_LENGTH = 12


class Environment(StrEnum):
    """The two halves of a database."""

    PROD = "prod"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A quoted PostgreSQL identifier: `str()` gives it as SQL, `.name` as data.

    Raises:
        ValueError: the name is empty, has a NUL, or is longer than 63 bytes.
    """

    name: str

    def __post_init__(self) -> None:
        if not self.name or "\0" in self.name or len(self.name.encode()) > MAX_BYTES:
            raise ValueError(f"not a PostgreSQL identifier: {self.name!r}")

    def __str__(self) -> str:
        return '"' + self.name.replace('"', '""') + '"'


class SchemaName(Identifier):
    @classmethod
    def of(cls, environment: Environment, uid: str, database_id: int) -> Self:
        """The schema of one environment: `prod_{uid}_{id}`, shortened to 63 bytes.

        A uid that does not fit is cut at a character and followed by a hash of the whole,
        so that it stays readable; the id alone already makes the name unique.
        """
        room = MAX_BYTES - len(f"{environment}__{database_id}")
        if len(uid.encode()) > room:
            digest = hashlib.sha256(uid.encode()).hexdigest()[:_DIGEST_LENGTH]
            kept = uid.encode()[: room - _DIGEST_LENGTH - 1].decode(errors="ignore")
            uid = f"{kept}_{digest}"
        return cls(f"{environment}_{uid}_{database_id}")


class RoleName(Identifier):
    @classmethod
    def owner(cls, environment: Environment, database_id: int) -> Self:
        """The role that owns the tables of one environment; it can't log in."""
        return cls(f"d{database_id}_{environment}")

    @classmethod
    def app(cls, environment: Environment, database_id: int) -> Self:
        """The login that end users' statements run as; row security binds it."""
        return cls(f"d{database_id}_{environment}_app")

    @classmethod
    def ddl(cls, database_id: int) -> Self:
        """The login that changes tables; it may become either owner, while these are not apart."""
        return cls(f"d{database_id}_ddl")

    @classmethod
    def own(cls, environment: Environment, database_id: int) -> Self:
        """The login, made when the owners are set apart, that may become one of them."""
        return cls(f"d{database_id}_{environment}_own")

    @classmethod
    def reader(cls, environment: Environment, database_id: int) -> Self:
        """The role, made on first use, that may read all of one environment; it can't log in."""
        return cls(f"d{database_id}_{environment}_ro")

    @classmethod
    def connection(cls, database_id: int, role_id: int) -> Self:
        """The login of somebody's own programs."""
        return cls(f"d{database_id}_c{role_id}")

    @classmethod
    def all(cls, database_id: int) -> list[Self]:
        """Every role that a database is made with."""
        return [
            *(cls.owner(environment, database_id) for environment in Environment),
            *(cls.app(environment, database_id) for environment in Environment),
            cls.ddl(database_id),
        ]


def literal(value: str) -> str:
    """A string literal, for messages that can't carry parameters.

    Raises:
        ValueError: the value has a NUL.
    """
    if "\0" in value:
        raise ValueError("a PostgreSQL text holds no NUL")
    quoted = "'" + value.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted
