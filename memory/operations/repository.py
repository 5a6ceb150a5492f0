from collections.abc import Sequence

import orjson

from core.errors import AppError
from core.postgres.engine import Session
from memory.operations.models import OPEN, Operation, OperationState

_COLUMNS = ", ".join(Operation.model_fields)
_OPEN = "state IN (" + ", ".join(f"'{state}'" for state in OPEN) + ")"


class OperationRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, operation: Operation) -> None:
        await self._session.execute(
            "INSERT INTO pgtwin.operation"
            " (id, kind, state, total, uid, database_id, arguments, owner, heartbeat_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, clock_timestamp())",
            operation.id,
            operation.kind,
            str(operation.state),
            operation.total,
            operation.uid,
            operation.database_id,
            orjson.dumps(operation.arguments).decode(),
            operation.owner,
        )

    async def get(self, operation_id: int) -> Operation | None:
        row = await self._session.fetchrow(
            f"SELECT {_COLUMNS} FROM pgtwin.operation WHERE id = $1", operation_id
        )
        return Operation.of(row) if row else None

    async def page(
        self, uid: str | None, state: OperationState | None, before: int | None, limit: int
    ) -> Sequence[Operation]:
        """Operations of a uid, the newest first.

        Args:
            uid, state: None: of anybody, in any.
            before: only ids below this one.
        """
        wanted = {"uid = ": uid, "state = ": state and state.value, "id < ": before}
        given = {condition: value for condition, value in wanted.items() if value is not None}
        conditions = [f"{condition}${place}" for place, condition in enumerate(given, 1)]
        rows = await self._session.fetch(
            f"SELECT {_COLUMNS} FROM pgtwin.operation WHERE {' AND '.join(conditions) or 'true'}"
            f" ORDER BY id DESC LIMIT {int(limit)}",
            *given.values(),
        )
        return [Operation.of(row) for row in rows]

    async def held(self, operation_id: int, owner: str) -> Operation | None:
        """The operation, locked, while this worker still has it; None: another took it over."""
        row = await self._session.fetchrow(
            f"SELECT {_COLUMNS} FROM pgtwin.operation"
            f" WHERE id = $1 AND owner = $2 AND {_OPEN} FOR UPDATE",
            operation_id,
            owner,
        )
        return Operation.of(row) if row else None

    async def beat(self, operation_ids: Sequence[int], owner: str) -> None:
        """Tell that the worker lives, for all of its operations whose rows are free.

        A locked one is at work in a transaction that tells it at its end; to wait for that one
        would leave the others silent.
        """
        await self._session.execute(
            "UPDATE pgtwin.operation SET heartbeat_at = clock_timestamp() WHERE id IN ("
            "SELECT id FROM pgtwin.operation WHERE id = ANY ($1::bigint[]) AND owner = $2"
            " FOR UPDATE SKIP LOCKED)",
            operation_ids,
            owner,
        )

    async def take_over(
        self,
        owner: str,
        silent_for: float,
        limit: int,
        *,
        running: Sequence[int],
        unbegun_for: float,
    ) -> Sequence[Operation]:
        """Operations whose worker has been silent, now this worker's; and its own, not begun.

        Args:
            silent_for: seconds without a heartbeat after which a worker counts as dead.
            running: what this worker is at.
            unbegun_for: seconds after which it will not begin any more what it has written down.
        """
        rows = await self._session.fetch(
            "UPDATE pgtwin.operation SET owner = $1, attempts = attempts + 1,"
            " heartbeat_at = clock_timestamp() WHERE id IN ("
            f"SELECT id FROM pgtwin.operation WHERE {_OPEN}"
            " AND (heartbeat_at < clock_timestamp() - make_interval(secs => $2)"
            " OR owner = $1 AND id <> ALL ($4::bigint[])"
            " AND heartbeat_at < clock_timestamp() - make_interval(secs => $5))"
            " ORDER BY heartbeat_at LIMIT $3 FOR UPDATE SKIP LOCKED)"
            f" RETURNING {_COLUMNS}",
            owner,
            silent_for,
            limit,
            running,
            unbegun_for,
        )
        return [Operation.of(row) for row in rows]

    async def progress(self, operation_id: int, step: str, done: int, total: int) -> None:
        await self._session.execute(
            "UPDATE pgtwin.operation SET step = $2, done = $3, total = $4,"
            " heartbeat_at = clock_timestamp() WHERE id = $1",
            operation_id,
            step,
            done,
            total,
        )

    async def close(self, operation_id: int, error: AppError | None) -> None:
        shown = error and {
            "code": error.code,
            "type": error.kind(),
            "message": error.message,
            "retryable": error.retryable,
        }
        await self._session.execute(
            "UPDATE pgtwin.operation SET state = $2, error = $3::text::jsonb,"
            " finished_at = clock_timestamp() WHERE id = $1",
            operation_id,
            str(OperationState.FAILED if error else OperationState.FINISHED),
            orjson.dumps(shown).decode() if shown else None,
        )
