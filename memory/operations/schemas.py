from datetime import datetime
from typing import Any, Self

from memory.api.envelope import Answer
from memory.operations.models import Operation, OperationState


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
