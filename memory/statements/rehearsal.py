"""What DDL would change and lock, told by doing it and undoing it."""

from collections.abc import Mapping
from typing import Any

from core.catalog.reader import numbered
from core.postgres.tenant_connection import TenantConnection
from memory.statements.place import Place
from memory.statements.schemas import LockDetail, Rehearsal, SchemaChange

# By kind and name.
Definitions = Mapping[tuple[str, str], str]


class Rehearsed:
    """What was changed, and is locked until it is undone."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Also where a transaction is run again."""
        self._changes: list[SchemaChange] = []
        self._locks: list[LockDetail] = []

    async def note(self, session: TenantConnection, place: Place, before: Definitions) -> None:
        """Note what differs now in an environment."""
        after = await definitions(session, place)
        for kind, name in sorted(before.keys() | after.keys()):
            old, new = before.get((kind, name)), after.get((kind, name))
            if old != new:
                self._changes.append(_change(place, kind, name, old, new))
        query, _ = numbered("own_locks")
        found = await session.run(query, (place.schema.name,))
        for relation, mode in found.rows:
            self._locks.append(
                LockDetail(env=place.environment, relation=relation or "", mode=mode or "")
            )

    def data(self, seconds: float) -> dict[str, Any]:
        answer = Rehearsal(changes=self._changes, locks=self._locks, exec_time=round(seconds, 6))
        return answer.model_dump(mode="json")


async def definitions(session: TenantConnection, place: Place) -> Definitions:
    """What an environment's objects are."""
    query, _ = numbered("definitions")
    found = await session.run(query, (place.schema.name,))
    return {(row[0] or "", row[1] or ""): row[2] or "" for row in found.rows}


def _change(place: Place, kind: str, name: str, old: str | None, new: str | None) -> SchemaChange:
    change = "added" if old is None else "removed" if new is None else "changed"
    return SchemaChange(
        env=place.environment, change=change, kind=kind, name=name, before=old, after=new
    )
