from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from core.errors import InvalidRequest
from core.postgres.identifiers import Environment
from memory.api.envelope import Answer
from memory.caller import APP_ID_TEXT, is_app_id
from memory.inputs import DatabaseAddress, Environments


class Audience(StrEnum):
    """As whom a statement is run.

    - `end_user`: sees and changes his own rows of tables that have a `uid`;
    - `owner`: sees and changes all rows of the environment.
    """

    END_USER = "end_user"
    OWNER = "owner"


class Explain(StrEnum):
    PLAN = "plan"
    ANALYZE = "analyze"


class RowForm(StrEnum):
    OBJECTS = "objects"
    ARRAYS = "arrays"


def _explained(value: bool | Explain | None) -> Explain | None:
    if isinstance(value, bool):
        return Explain.PLAN if value else None
    return value


def _app_id(value: str) -> str:
    if value and not is_app_id(value):
        raise PydanticCustomError("app_id", "{text}", {"text": f"Input should have {APP_ID_TEXT}"})
    return value


class ExecDdl(DatabaseAddress):
    V1_ONLY: ClassVar[frozenset[str]] = frozenset({"env", "as_", "dry_run"})
    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    ddl: Annotated[
        str,
        Field(
            min_length=1,
            description="CREATE, ALTER and DROP TABLE, RENAME and COMMENT; several are separated "
            "by `;` and done together or not at all",
            examples=["CREATE TABLE notes (id BIGSERIAL PRIMARY KEY, uid VARCHAR(64), body TEXT)"],
        ),
    ]
    env: Environments = Field(Environments.BOTH, description="Where it is done")
    as_: Audience | None = Field(
        None,
        alias="as",
        description="`owner` also admits indexes, views, types, sequences, functions and triggers",
    )
    dry_run: bool = Field(
        False, description="Do it, tell what it changes and what it locks, and undo it"
    )

    @property
    def keeps(self) -> bool:
        """Whether it leaves anything, be it its answer."""
        return not self.dry_run


class RowsAddress(DatabaseAddress):
    """Whose rows, and in which environment."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    app_id: Annotated[
        str,
        AfterValidator(_app_id),
        Field(max_length=64, description="The application whose end user the uid is"),
    ] = ""
    env: Environment
    as_: Audience | None = Field(
        None, alias="as", description="`end_user` for applications when not given, else `owner`"
    )


class ExecDml(RowsAddress):
    V1_ONLY: ClassVar[frozenset[str]] = frozenset(
        {"as_", "params", "read_only", "dry_run", "explain", "rows", "stream"}
    )

    dml: Annotated[
        str,
        Field(
            description="SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES, also with WITH; several "
            "are separated by `;`, run in order in one transaction",
            examples=["SELECT * FROM notes ORDER BY id LIMIT 10"],
        ),
    ]
    params: list[Any] | None = Field(
        None,
        description="Values of $1, $2, ...; a list of lists runs the statement once for each, in "
        "one transaction, unless it has as many parameters and all of them take lists",
        examples=[[1, "a text"]],
    )
    read_only: bool = Field(False, description="Refuse whatever would write")
    dry_run: bool = Field(False, description="Run it, answer, and undo it")
    explain: Annotated[bool | Explain | None, AfterValidator(_explained)] = Field(
        None,
        description="true or `plan`: the plan of each statement, which is not run; `analyze`: run "
        "it, answer the plan with its times, and undo it",
    )
    rows: RowForm = Field(RowForm.OBJECTS, description="How rows are answered")
    stream: bool = Field(
        False,
        description="Answer the rows of one SELECT as NDJSON, as many as there are: a line with "
        "the columns, a line a row, and a last line that says how it ended",
    )

    @property
    def keeps(self) -> bool:
        """Whether it may leave anything, be it its answer."""
        return not (self.dry_run or self.read_only or self.explain is not None)

    def require_together(self) -> None:
        """Refuse options that exclude each other.

        Raises:
            InvalidRequest
        """
        options = {
            "explain": self.explain is not None,
            "stream": self.stream,
            "dry_run": self.dry_run,
        }
        chosen = [name for name, is_chosen in options.items() if is_chosen]
        if len(chosen) > 1:
            raise InvalidRequest.of(chosen[1], f"can't be given with {chosen[0]}")


class ColumnDetail(Answer):
    name: str
    type: str = Field(description="As PostgreSQL calls it", examples=["bigint"])


class StatementDetail(Answer):
    """One execution of one statement."""

    statement: int = Field(description="Its place in the call, from 1")
    item: int | None = Field(None, description="The place of its list of params, from 1")
    command: str = Field(examples=["SELECT"])
    affected: int | None = Field(description="Rows that it inserted, updated, deleted or merged")
    columns: list[ColumnDetail]
    first_row: int = Field(description="Where its rows begin in exec_success, from 0")
    row_count: int = Field(description="How many they are")
    truncated: bool = Field(description="Whether there are more rows than the default of 100")


class Executed(Answer):
    """What statements gave; the rows of all of them, in their order."""

    exec_success: list[Any]
    exec_failure: list[Any] = Field(description="Always empty: all is done, or nothing")
    exec_time: float = Field(description="Seconds")
    statements: list[StatementDetail]


class SchemaChange(Answer):
    env: Environment
    change: str = Field(examples=["added", "removed", "changed"])
    kind: str = Field(examples=["table"])
    name: str
    before: str | None = None
    after: str | None = None


class LockDetail(Answer):
    env: Environment
    relation: str
    mode: str = Field(examples=["AccessExclusiveLock"])


class Rehearsal(Answer):
    """What DDL would do."""

    changes: list[SchemaChange]
    locks: list[LockDetail]
    exec_time: float
