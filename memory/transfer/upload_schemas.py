from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, SkipValidation, WithJsonSchema
from pydantic_core import PydanticCustomError

from core.transfer.readers import FileFormat
from memory.api.envelope import Answer
from memory.statements.schemas import RowsAddress


class Mode(StrEnum):
    """What is done with a file's rows.

    - `insert`: they are new;
    - `update`: each changes those that have its key;
    - `upsert`: each changes the one that has its key, or is new.
    """

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"


class OnError(StrEnum):
    """What is done where a row can't be stored: nothing is kept, or it is left out."""

    ABORT = "abort"
    SKIP = "skip"


def _a_file(value: Any) -> Any:
    if isinstance(value, str):
        raise PydanticCustomError("file", "Input should be a file, with a file name")
    return value


FileField = Annotated[
    # What the request's reader has stored, `memory.api.forms.ReceivedFile`.
    SkipValidation[Any],
    BeforeValidator(_a_file),
    WithJsonSchema({"type": "string", "format": "binary", "description": "The file"}),
]


class UploadData(RowsAddress):
    V1_ONLY: ClassVar[frozenset[str]] = frozenset({"as_", "format", "mode", "key", "on_error"})

    table_name: Annotated[
        str, Field(min_length=1, description="The table, as PostgreSQL has its name")
    ]
    format: FileFormat | None = Field(None, description="By the file's name when not given")
    mode: Mode = Mode.INSERT
    key: list[str] = Field(
        default_factory=list,
        description="The columns by which rows are found, for `update` and `upsert`; the field is "
        "given once for each",
    )
    on_error: OnError = OnError.ABORT
    file: FileField


class FailedRow(Answer):
    line: int = Field(description="As the file's lines are counted, from 1")
    error: str


class Uploaded(Answer):
    """What became of a file's rows."""

    success_rows: list[Any] = Field(description="The ids of the first rows that were stored")
    failed_rows: list[FailedRow] = Field(description="The first rows that were not")
    succeeded: int = Field(description="How many rows were stored")
    failed: int = Field(description="How many were not")
    exec_time: float = Field(description="Seconds")
