from collections.abc import Mapping, Sequence
from typing import Any

from pgtwin._sync.calls import Calls, Environment


class InspectionCalls(Calls):
    """What an environment holds."""

    def get_schema(
        self, database_id: int, *, env: Environment = "prod", tables: Sequence[str] | None = None
    ) -> Mapping[str, Any]:
        """What an environment holds: tables, columns, keys, views, functions, sizes."""
        query = {"env": env, "table": list(tables) if tables else None}
        found: Mapping[str, Any] = self._transport.get(f"databases/{database_id}/schema", **query)
        return found

    def get_schema_text(
        self, database_id: int, *, env: Environment = "prod", tables: Sequence[str] | None = None
    ) -> str:
        """The same as compact text, as for a language model."""
        query = {"env": env, "format": "text", "table": list(tables) if tables else None}
        found = self._transport.get(f"databases/{database_id}/schema", **query)
        return str(found["text"])

    def get_ddl(self, database_id: int, *, env: Environment = "prod") -> str:
        """SQL that makes an environment's objects again."""
        found = self._transport.get(f"databases/{database_id}/ddl", env=env)
        return str(found["ddl"])

    def get_stats(self, database_id: int, *, env: Environment = "prod") -> Mapping[str, Any]:
        """Rows, sizes, and the slowest calls of SQL."""
        found: Mapping[str, Any] = self._transport.get(f"databases/{database_id}/stats", env=env)
        return found
