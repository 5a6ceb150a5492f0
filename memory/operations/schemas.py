from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from memory.api.envelope import Answer
from memory.inputs import Input
from memory.operations.models import Operation, OperationState


class ListOperations(Input):
    """Filters and page of a listing, as query parameters."""

    state: OperationState | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str, Field(max_length=100)] | None = None


class OperationDetail(Answer):
    """An operation: how far it is and, when it failed, why."""

    operation_id: int
    operation_id_str: str
    kind: str
    state: OperationState
    step: str
    done: int
    total: int
    database_id: int
    database_id_str: str
    error: dict[str, Any] | None
    attempts: int
    create_at: datetime
    update_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, operation: Operation) -> Self:
        fields = operation.model_dump(include=set(cls.model_fields))
        return cls(
            **fields,
            operation_id=operation.id,
            operation_id_str=str(operation.id),
            database_id_str=str(operation.database_id),
        )


class OperationPage(Answer):
    operations: list[OperationDetail]
    next_cursor: str | None
