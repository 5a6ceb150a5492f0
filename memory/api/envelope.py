"""The shape of every answer: `{code, message, data?, sid}`."""

from typing import Any, ClassVar, Generic, Self, TypeVar

import orjson
from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

from core.telemetry import current_sid
from memory.api.mounts import is_drop_in

T = TypeVar("T")


# What the drop-in mount's clients do not know.
_V1_ONLY = ("_str", "operation_id")


class Answer(BaseModel):
    """What an endpoint answers with, inside the envelope."""

    # Fields that are given once, and null in an answer that is kept to be given again.
    SECRETS: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _for_mount(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        """Without a return type, for the OpenAPI document keeps the fields only so."""
        fields: dict[str, Any] = serialize(self)
        if not is_drop_in():
            return fields
        return {name: fields[name] for name in fields if not name.endswith(_V1_ONLY)}


def success_body(data: Any = None) -> bytes:
    """The envelope of a success whose data orjson writes as it is, rows of any length."""
    envelope: dict[str, Any] = {"code": 0, "message": "success", "sid": current_sid()}
    return orjson.dumps(envelope if data is None else envelope | {"data": data})


class Done(BaseModel):
    """An answer without data."""

    code: int = Field(0, description="0, or the error's code")
    message: str = "success"
    sid: str = Field(default_factory=current_sid, description="The request's id")

    def to_keep(self) -> Self:
        """The answer without its secrets, to be given again."""
        return self


class Envelope(Done, Generic[T]):
    data: T

    def to_keep(self) -> Self:
        if not isinstance(self.data, Answer) or not self.data.SECRETS:
            return self
        hidden = self.data.model_copy(update=dict.fromkeys(self.data.SECRETS))
        return self.model_copy(update={"data": hidden})


class ErrorInfo(BaseModel):
    """What went wrong, for programs."""

    type: str = Field(description="The error's name")
    retryable: bool = Field(description="Whether the same request may succeed later")
    hint: str = Field(description="What to do")
    sqlstate: str | None = Field(None, description="PostgreSQL's code, where it gave one")
    position: int | None = Field(None, description="Where in the SQL, in characters from 1")
    details: list[dict[str, Any]] | None = Field(None, description="The fields that are wrong")


class Failure(BaseModel):
    """The answer to a request that failed."""

    code: int
    message: str
    sid: str
    error: ErrorInfo
