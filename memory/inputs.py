"""What callers may send: the types that inputs are made of, with their limits."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from core.ids import LARGEST, SMALLEST

# Control characters, the signs that the wire contract names, and Chinese characters.
_UID = r"^[^\x00-\x1f\x7f！@#￥%…&*()㐀-䶿一-鿿豈-﫿]+$"  # noqa: RUF001
_NO_NUL = r"^[^\x00]*$"


class Input(BaseModel):
    """A request body; unknown fields are refused (the drop-in mount drops them before)."""

    model_config = ConfigDict(extra="forbid")


def _from_decimal(value: Any) -> Any:
    """JavaScript loses the digits of large numbers, so ids come as strings as well."""
    if isinstance(value, str) and 0 < len(value) <= 19 and value.isascii() and value.isdigit():
        return int(value)
    return value


def _personal(value: Any) -> Any:
    return "" if value is None else value


Uid = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=_UID,
        description="The user: 1 to 64 characters, no control characters, no Chinese "
        "characters, none of ！@#￥%…&*()",  # noqa: RUF001
        examples=["alice"],
    ),
]
DatabaseName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=20,
        pattern=r"^[a-zA-Z][a-zA-Z0-9_]{0,19}$",
        description="1 to 20 characters: a letter, then letters, digits, underscores",
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
DatabaseId = Annotated[
    int,
    Field(strict=True, ge=SMALLEST, le=LARGEST, description="The database's id"),
    BeforeValidator(_from_decimal),
    WithJsonSchema(
        {
            "description": "The database's id, as a number or as its decimal digits",
            "anyOf": [
                {"type": "integer", "minimum": SMALLEST, "maximum": LARGEST},
                {"type": "string", "pattern": "^[0-9]{1,19}$"},
            ],
        }
    ),
]
