"""What a schema holds, as answers show it; the fields of a part are those of its catalog query."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from core.postgres.identifiers import Environment
from memory.inputs import Input

_Env = Annotated[Environment, Field(description="The environment")]
_TableName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00]*$")]


class Form(StrEnum):
    """- `json`: everything, as objects;
    - `text`: the same in few words, for a language model's context.
    """

    JSON = "json"
    TEXT = "text"


class WhichEnvironment(Input):
    env: Environment = Field(Environment.PROD, description="The environment")


class WhichSchema(WhichEnvironment):
    format: Form = Form.JSON
    table: list[_TableName] = Field(
        [],
        max_length=100,
        description="Only these tables and views, by their names as they are stored, and the "
        "types of their columns; may be given several times",
    )


class Named(BaseModel):
    name: str = Field(description="As it is stored; SQL may need it in quotes")
    comment: str | None = None


class ColumnInfo(Named):
    type: str = Field(description="As PostgreSQL writes it", examples=["character varying(64)"])
    nullable: bool
    default: str | None = Field(description="The expression")
    generated: str | None = Field(description="The expression of a generated column")
    is_stored: bool | None = Field(
        description="Of a generated column, whether its values are stored or made when it is read"
    )
    identity: str | None = Field(description="`always` or `by default`")


class ConstraintInfo(Named):
    columns: list[str] = Field(description="In the constraint's order; none for an expression")
    definition: str


class ForeignKey(ConstraintInfo):
    references: str = Field(description="The other table")
    referenced_columns: list[str]


class IndexInfo(Named):
    definition: str
    is_unique: bool
    is_valid: bool = Field(description="False: building it was not finished")
    by_service: bool = Field(
        description="Whether it is the one on `uid` that the service makes for end users' rows"
    )


class TriggerInfo(Named):
    definition: str
    is_enabled: bool


class PolicyInfo(BaseModel):
    """A policy of row security, beside the service's own."""

    name: str
    command: str = Field(description="`select`, `insert`, `update`, `delete` or `all`")
    is_permissive: bool
    using: str | None = Field(description="The condition for rows that are there")
    check: str | None = Field(description="The condition for new rows")


class RelationInfo(Named):
    kind: str
    rows: int | None = Field(description="About how many, as PostgreSQL has counted them")
    size_bytes: int | None = Field(
        description="With its indexes and long values; of a partitioned table, its partitions'"
    )
    columns: list[ColumnInfo] = []
    indexes: list[IndexInfo] = Field([], description="But for those of keys and constraints")
    triggers: list[TriggerInfo] = []


class TableInfo(RelationInfo):
    """`kind` is `table`, `partitioned table` or `foreign table`."""

    rows_by_uid: bool = Field(
        description="Whether end users see only their own rows, by the column `uid`: the service's "
        "policy and trigger for that are not listed"
    )
    row_security: bool
    is_unlogged: bool
    partition_key: str | None = Field(examples=["RANGE (created_at)"])
    partition_of: str | None
    partition_bounds: str | None
    inherits: list[str]
    primary_key: ConstraintInfo | None = None
    unique: list[ConstraintInfo] = []
    foreign_keys: list[ForeignKey] = []
    checks: list[ConstraintInfo] = []
    exclusions: list[ConstraintInfo] = []
    policies: list[PolicyInfo] = []


class ViewInfo(RelationInfo):
    """`kind` is `view` or `materialized view`; only the latter has rows and a size."""

    definition: str = Field(description="The query")
    is_populated: bool | None = Field(description="Of a materialized view, whether it was filled")


class SequenceInfo(Named):
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    is_cycling: bool
    owned_by: list[str] | None = Field(description="The table and the column that it belongs to")


class EnumInfo(Named):
    labels: list[str]


class DomainInfo(Named):
    type: str
    nullable: bool
    default: str | None
    checks: list[str]


class FieldInfo(Named):
    type: str


class CompositeInfo(Named):
    fields: list[FieldInfo]


class RangeInfo(Named):
    subtype: str


class FunctionInfo(Named):
    kind: str = Field(description="`function`, `procedure`, `aggregate` or `window function`")
    arguments: str = Field(examples=["a integer, b text DEFAULT 'x'::text"])
    returns: str | None
    language: str
    volatility: str


class SchemaContents(BaseModel):
    """All that an environment's schema holds; lists are in the order of names."""

    env: _Env
    tables: list[TableInfo] = []
    views: list[ViewInfo] = []
    sequences: list[SequenceInfo] = []
    enums: list[EnumInfo] = []
    domains: list[DomainInfo] = []
    composites: list[CompositeInfo] = []
    ranges: list[RangeInfo] = []
    functions: list[FunctionInfo] = []


class SchemaText(BaseModel):
    env: _Env
    text: str = Field(description="A line a table, and a line a column, indented")


class SchemaDdl(BaseModel):
    env: _Env
    ddl: str = Field(
        description="SQL that makes the objects again where the search_path leads; no rows, "
        "no owners, no privileges"
    )
    still_names: list[str] = Field(
        description="Objects whose definition still names the schema or a role of this database"
    )
    hidden: list[str] = Field(
        description="Objects with the name of one of PostgreSQL's own, which is found before them "
        "where no schema is named: the SQL means the other one"
    )
    reordered: list[str] = Field(
        description="Tables whose columns will be in another order, for their parents were altered "
        "after they were made"
    )


class TableStatistics(BaseModel):
    name: str
    kind: str = Field(description="`table` or `materialized view`")
    partition_of: str | None
    live_rows: int = Field(description="About how many")
    dead_rows: int = Field(description="About how many; VACUUM makes room of them")
    table_bytes: int
    index_bytes: int
    toast_bytes: int = Field(description="Long values, kept apart")
    last_vacuum: datetime | None = Field(description="By hand or by itself")
    last_analyze: datetime | None = Field(description="By hand or by itself")
    sequential_scans: int
    index_scans: int


class TotalStatistics(BaseModel):
    tables: int = Field(description="Materialized views and partitions among them")
    live_rows: int
    dead_rows: int
    table_bytes: int
    index_bytes: int
    toast_bytes: int
    size_bytes: int = Field(description="All of these")


class SlowCalls(BaseModel):
    """Calls of SQL that differ in their values only."""

    fingerprint: str = Field(description="As the log has it; the SQL itself is not kept")
    action: str = Field(description="`exec_dml` or `exec_ddl`")
    calls: int
    failed: int
    mean_ms: float
    max_ms: float
    last_at: datetime
    last_sid: str = Field(description="The latest call's request id")
    sqlstates: list[str] = Field(description="How calls failed: SQLSTATE, or an error's name")


class SchemaStatistics(BaseModel):
    env: _Env
    total: TotalStatistics
    tables: list[TableStatistics]
    slowest: list[SlowCalls] = Field(
        description="The slowest on average, of the database's latest calls within a day"
    )
