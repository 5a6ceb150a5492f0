from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from memory.api.mounts import is_drop_in
from memory.statements.schemas import RowsAddress

_NULL = r"^[^\x00-\x1f\x7f\",;|]*$"
_OF_CSV = frozenset({"header", "delimiter", "null", "escape_formulas"})


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"


class ExportData(RowsAddress):
    V1_ONLY: ClassVar[frozenset[str]] = _OF_CSV | {"as_", "sql", "columns", "format"}

    table_name: str | None = Field(
        None, min_length=1, description="The table, spelled as it is: letters keep their case"
    )
    sql: str | None = Field(
        None,
        description="One SELECT, in place of a table",
        examples=["SELECT title, stars FROM notes ORDER BY id"],
    )
    columns: Annotated[list[str], Field(min_length=1, max_length=1600)] | None = Field(
        None, description="Those of the table that are wanted, in this order; all if not given"
    )
    format: Format = Format.CSV
    header: bool = Field(True, description="CSV begins with the columns' names")
    delimiter: Literal[",", ";", "\t", "|"] = Field(",", description="Of CSV")
    null: Annotated[str, Field(max_length=20, pattern=_NULL)] = Field(
        "", description="What stands for NULL in CSV, without quotes around it"
    )
    escape_formulas: bool = Field(
        True,
        description="In CSV, put a ' before texts that begin with = + - @ TAB or CR, which a "
        "spreadsheet would run; numbers and dates are no texts",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if is_drop_in() and self.table_name is None:
            raise PydanticCustomError("table_name", "table_name is required")
        if (self.table_name is None) == (self.sql is None):
            raise PydanticCustomError("table_name", "Either table_name or sql is required")
        if self.columns is not None and self.table_name is None:
            raise PydanticCustomError("columns", "columns are those of a table_name")
        of_csv = sorted(_OF_CSV & self.model_fields_set)
        if self.format is not Format.CSV and of_csv:
            raise PydanticCustomError("format", "{name} is for csv", {"name": of_csv[0]})
        return self
