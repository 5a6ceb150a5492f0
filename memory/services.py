"""The service's parts, put together once a process, and its services, once a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import configure_mappers

from core.ids import IdGenerator
from core.metrics import Metrics
from core.postgres.embedded import bundled_binaries
from core.postgres.engine import Database, Session
from core.settings import Settings
from memory.api_keys.cache import KeyCache
from memory.api_keys.repository import ApiKeyRepository
from memory.api_keys.service import ApiKeyService
from memory.api_keys.usage import KeyUsage
from memory.audit.repository import AuditRepository
from memory.audit.service import AuditTrail
from memory.changes import Hearing
from memory.databases.handlers import CloneHandler, DropHandler, Workshop
from memory.databases.repairs import Repairs
from memory.databases.repository import DatabaseRepository
from memory.databases.service import DatabaseService
from memory.idempotency.repository import IdempotencyRepository
from memory.idempotency.service import IdempotencyService
from memory.operations.repository import OperationRepository
from memory.operations.runner import OperationRunner
from memory.operations.service import OperationService

if TYPE_CHECKING:
    from core.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    database: Database
    master_secret: str = field(repr=False)
    ids: IdGenerator = field(default_factory=IdGenerator)
    key_usage: KeyUsage = field(default_factory=KeyUsage)
    metrics: Metrics | None = None
    tracing: "Tracing | None" = None
    runner: OperationRunner = field(init=False)
    known_keys: KeyCache = field(init=False)

    def __post_init__(self) -> None:
        # Rows that the driver gave are read through their classes' attributes.
        configure_mappers()
        runner = OperationRunner(
            self.database, self.settings.operation_lease, self.metrics, self.tracing
        )
        workshop = Workshop(
            database=self.database,
            dsn=self.settings.dsn or "",
            master_secret=self.master_secret,
            worker=runner.worker,
            programs=self._programs,
            operations=self.operations,
        )
        runner.use(
            {
                "clone_database": CloneHandler(workshop),
                "drop_database": DropHandler(workshop),
            }
        )
        object.__setattr__(self, "runner", runner)
        object.__setattr__(self, "known_keys", KeyCache(self.metrics))

    @property
    def caches(self) -> Mapping[str, Hearing]:
        """What forgets when a change is heard of, by the kind of what changed."""
        return {"key": self.known_keys}

    def _programs(self, major: int) -> Path:
        """A newer pg_dump writes what an older server can't always read: so the nearest one."""
        bundled = bundled_binaries(16 if major <= 16 else 18)
        return self.settings.pg_bin_dir or bundled.pg_dump.parent

    def operations(self, session: Session) -> OperationService:
        return OperationService(OperationRepository(session))

    def audit(self, session: Session) -> AuditTrail:
        return AuditTrail(AuditRepository(session))

    def api_keys(self, session: Session) -> ApiKeyService:
        return ApiKeyService(
            ApiKeyRepository(session),
            self.audit(session),
            self.ids,
            self.key_usage,
            self.known_keys,
        )

    def idempotency(self, session: Session) -> IdempotencyService:
        return IdempotencyService(
            IdempotencyRepository(session), self.settings.idempotency_retention
        )

    def repairs(self, session: Session) -> Repairs:
        return Repairs(
            DatabaseRepository(session), self.audit(session), self.ids, self.master_secret
        )

    def databases(self, session: Session) -> DatabaseService:
        return DatabaseService(
            DatabaseRepository(session),
            self.audit(session),
            self.ids,
            self.master_secret,
            self.operations(session),
            self.runner.worker,
        )
