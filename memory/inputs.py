"""What callers may send: the types that inputs are made of, with their limits."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core.errors import InvalidRequest
from core.ids import LARGEST, SMALLEST
from core.postgres.identifiers import Environment
from memory.api.mounts import is_drop_in
from memory.caller import APP_ID_TEXT

# Control characters, the signs that the wire contract names, and Chinese characters.
_UID = r"^[^\x00-\x1f\x7f！@#￥%…&*()㐀-䶿一-鿿豈-﫿𠀀-𿿿]+$"  # noqa: RUF001
_UID_TEXT = "1 to 64 characters, no control characters, no Chinese characters, none of ！@#￥%…&*()"  # noqa: RUF001
_NAME = r"^[a-zA-Z][a-zA-Z0-9_]{0,19}$"
_NAME_TEXT = "1 to 20 characters: a letter, then letters, digits, underscores"
_NO_NUL = r"^[^\x00]*$"
IDEMPOTENCY_KEY = r"^[\x21-\x7e]+$"
IDEMPOTENCY_KEY_TEXT = "1 to 255 visible ASCII characters"
_DIGITS = r"^(?:0|[1-9][0-9]{0,18})$"
_ID_TEXT = "Input should be an integer from 1 to 2^63 - 1, or a string of its decimal digits"
# What a pattern asks for, in words.
EXPLAINED = {
    _UID: _UID_TEXT,
    _NAME: _NAME_TEXT,
    _NO_NUL: "no NUL character",
    IDEMPOTENCY_KEY: IDEMPOTENCY_KEY_TEXT,
}


class Input(BaseModel):
    """A request body; unknown fields are refused, and on the drop-in mount ignored."""

    model_config = ConfigDict(extra="forbid")
    # Fields that the drop-in mount's clients do not know, and so can't mean.
    V1_ONLY: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _for_mount(cls, fields: Any) -> Any:
        if not is_drop_in() or not isinstance(fields, dict):
            return fields
        known = cls.model_fields.keys() - cls.V1_ONLY
        return {name: value for name, value in fields.items() if name in known}


def _from_decimal(value: Any) -> Any:
    """JavaScript loses the digits of large numbers, so ids come as strings as well.

    An id has one spelling as a string, the one that answers have: a client that compares ids as
    strings is never surprised.
    """
    if type(value) is int:
        return value
    if isinstance(value, str) and re.fullmatch(_DIGITS, value):
        return int(value)
    raise PydanticCustomError("id", _ID_TEXT)


def _personal(value: Any) -> Any:
    return "" if value is None else value


Uid = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=_UID,
        description=f"The user: {_UID_TEXT}",
        examples=["alice"],
    ),
]
DatabaseName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=20,
        pattern=_NAME,
        description=_NAME_TEXT,
        examples=["orders"],
    ),
]
Description = Annotated[
    str, Field(max_length=200, pattern=_NO_NUL, description="At most 200 characters")
]
SpaceId = Annotated[
    str,
    Field(max_length=64, pattern=_NO_NUL),
    BeforeValidator(_personal),
    WithJsonSchema(
        {
            "description": 'The space; null or "" is the uid\'s own',
            "anyOf": [
                {"type": "string", "maxLength": 64, "pattern": _NO_NUL},
                {"type": "null"},
            ],
            "examples": ["team-7"],
        }
    ),
]


_APP_ID = r"^[^\x00-\x1f\x7f:]+$"
EXPLAINED[_APP_ID] = APP_ID_TEXT
AppId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=_APP_ID,
        description=f"The application: {APP_ID_TEXT}",
        examples=["shop"],
    ),
]


def _id_schema(what: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "description": f"The {what}'s id, as a number or as its decimal digits",
            "anyOf": [
                # No maximum: the document's numbers are floats, and 2^63 - 1 is none.
                {"type": "integer", "minimum": SMALLEST},
                {"type": "string", "pattern": "^[1-9][0-9]{0,18}$"},
            ],
        }
    )


_Id = Annotated[int, Field(strict=True, ge=SMALLEST, le=LARGEST), BeforeValidator(_from_decimal)]
DatabaseId = Annotated[_Id, _id_schema("database")]
OperationId = Annotated[_Id, _id_schema("operation")]
ConnectionId = Annotated[_Id, _id_schema("connection")]


def _written_out(value: Any) -> Any:
    """A number, or digits alone, could be taken for seconds as well as for a year."""
    if value is None or isinstance(value, datetime):
        return value
    if isinstance(value, str) and re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return value
    raise PydanticCustomError("moment", "Input should be a date and time in ISO 8601, with a zone")


LONGEST = timedelta(days=3653)
Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]


class Ending(Input):
    """When something ends; neither field: never."""

    expires_at: Moment | None = Field(
        None, description="When it ends: with a zone, at most ten years from now"
    )
    ttl_seconds: (
        Annotated[
            int,
            Field(
                ge=1,
                le=int(LONGEST.total_seconds()),
                description="In place of expires_at: seconds from now",
            ),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _ends_once(self) -> Self:
        if self.expires_at is not None and self.ttl_seconds is not None:
            raise ValueError("give expires_at or ttl_seconds, not both")
        if self.expires_at is not None:
            now = datetime.now(UTC)
            if not now < self.expires_at <= now + LONGEST:
                raise ValueError("expires_at must be in the future, and within ten years")
        return self

    @property
    def end(self) -> datetime | None:
        if self.ttl_seconds is not None:
            return datetime.now(UTC) + timedelta(seconds=self.ttl_seconds)
        return self.expires_at


MOST_LABELS = 32
_KEY = r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?"
_VALUE = r"[^\x00-\x1f\x7f-\x9f]{0,63}"
_LABEL_KEY, _LABEL_VALUE, _LABEL = f"^{_KEY}$", f"^{_VALUE}$", f"^{_KEY}(={_VALUE})?$"
_KEY_TEXT = "a key of 1 to 63 letters, digits and . _ / -, a letter or digit at both ends"
_VALUE_TEXT = "a value of up to 63 characters, no control characters"
EXPLAINED |= {
    _LABEL_KEY: _KEY_TEXT,
    _LABEL_VALUE: _VALUE_TEXT,
    _LABEL: f"key=value or key: {_KEY_TEXT}, {_VALUE_TEXT}",
}
Labels = Annotated[
    dict[
        Annotated[str, Field(pattern=_LABEL_KEY)],
        Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)],
    ],
    Field(max_length=MOST_LABELS),
    WithJsonSchema(
        {
            "description": f"Up to {MOST_LABELS} labels: {_KEY_TEXT}, {_VALUE_TEXT}",
            "type": "object",
            "maxProperties": MOST_LABELS,
            "propertyNames": {"pattern": _LABEL_KEY},
            "additionalProperties": {"type": "string", "pattern": _LABEL_VALUE},
            "examples": [{"suite": "checkout", "ci/run": "4711"}],
        }
    ),
]
LabelText = Annotated[
    str, Field(max_length=127, pattern=_LABEL, description=f"`key=value` or `key`: {_KEY_TEXT}")
]


def position(cursor: str | None) -> int | None:
    """The id that a page of a listing ends at, from its cursor.

    Raises:
        InvalidRequest
    """
    if cursor is None:
        return None
    found = int(cursor, 16) if re.fullmatch(r"[0-9a-f]{1,16}", cursor) else 0
    if not 0 < found <= LARGEST:
        raise InvalidRequest.of("cursor", "not a cursor of this listing")
    return found


class DatabaseAddress(Input):
    """Which database, and for whom."""

    database_id: DatabaseId
    uid: Uid | None = None
    space_id: SpaceId = ""


class Environments(StrEnum):
    """Which of a database's environments."""

    BOTH = "both"
    PROD = "prod"
    TEST = "test"

    @property
    def each(self) -> list[Environment]:
        return [one for one in Environment if self in (Environments.BOTH, one)]
