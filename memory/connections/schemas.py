from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from core.postgres.identifiers import Environment
from core.postgres.public_address import PublicAddress
from memory.api.envelope import Answer
from memory.connections.models import Connection, ConnectionStatus, Mode
from memory.inputs import ConnectionId, DatabaseAddress, Ending, Input, SpaceId, Uid


class CreateConnection(DatabaseAddress, Ending):
    env: Environment
    mode: Mode = Field(Mode.READ_WRITE, description="`read_only` can read all, and change nothing")
    name: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")] = Field(
        "", description="For people; need not be unique"
    )
    connection_limit: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Sessions at a time; none: PGTWIN_CONNECTION_LIMIT"
    )


class ConnectionAddress(Input):
    """Which connection, and for whom."""

    connection_id: ConnectionId
    uid: Uid | None = None
    space_id: SpaceId = ""


class ListConnections(Input):
    """The page of a listing, as query parameters."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=100)] | None = None


class ConnectionSummary(Answer):
    connection_id: int
    connection_id_str: str
    database_id: int
    database_id_str: str
    name: str
    env: Environment
    mode: Mode
    user: str
    connection_limit: int
    status: ConnectionStatus
    expires_at: datetime | None
    rotated_at: datetime | None
    ended_at: datetime | None
    create_at: datetime
    create_by: str

    @classmethod
    def of(cls, connection: Connection) -> Self:
        return cls(**_fields(connection))


class ConnectionPage(Answer):
    connections: list[ConnectionSummary]
    next_cursor: str | None


class ConnectionUri(Answer):
    """A connection with its password, which can't be shown again."""

    SECRETS: ClassVar[frozenset[str]] = frozenset({"uri"})

    connection_id: int
    connection_id_str: str
    database_id: int
    database_id_str: str
    uri: str | None = Field(
        repr=False,
        description="With the password; null where an answer is given again, which does not "
        "have it: rotate the connection then",
    )
    host: str
    port: int
    dbname: str
    user: str
    schema_name: str
    env: Environment
    mode: Mode
    connection_limit: int
    expires_at: datetime | None

    @classmethod
    def of(
        cls, connection: Connection, address: PublicAddress, schema_name: str, password: str
    ) -> Self:
        fields = _fields(connection)
        return cls(
            **{name: fields[name] for name in fields if name in cls.model_fields},
            uri=address.uri(connection.role.name, password),
            host=address.host,
            port=address.port,
            dbname=address.dbname,
            schema_name=schema_name,
        )


def _fields(connection: Connection) -> Mapping[str, Any]:
    row = connection.__dict__
    return {
        **{name: row.get(name) for name in ConnectionSummary.model_fields},
        "connection_id": connection.id,
        "connection_id_str": str(connection.id),
        "database_id_str": str(connection.database_id),
        "user": connection.role.name,
    }
