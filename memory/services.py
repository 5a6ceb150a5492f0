"""The service's parts, put together once a process, and its services, once a transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.orm import configure_mappers

from core.ids import IdGenerator
from core.metrics import Metrics
from core.postgres.context import session_settings
from core.postgres.embedded import bundled_binaries
from core.postgres.engine import Database, Session
from core.postgres.identifiers import RoleName
from core.postgres.passwords import context_key, derive
from core.postgres.preparation import login_url
from core.postgres.tenant_connection import TenantConnection
from core.postgres.tenant_server import TenantServer
from core.postgres.tenant_sessions import TenantSessions
from core.settings import Settings
from memory.api_keys.cache import KeyCache
from memory.api_keys.repository import ApiKeyRepository
from memory.api_keys.service import ApiKeyService
from memory.api_keys.usage import KeyUsage
from memory.audit.repository import AuditRepository
from memory.audit.service import AuditTrail
from memory.caller import Caller
from memory.changes import Hearing
from memory.connections.repairs import KINDS, ConnectionRepairs
from memory.connections.repository import ConnectionRepository
from memory.connections.service import ConnectionService
from memory.databases.handlers import CloneHandler, DropHandler, Workshop
from memory.databases.models import DatabaseEntry
from memory.databases.repairs import Repairs
from memory.databases.repository import DatabaseRepository
from memory.databases.service import DatabaseService
from memory.ephemeral.repository import EphemeralRepository
from memory.ephemeral.service import EphemeralService
from memory.ephemeral.tasks import Reaper
from memory.idempotency.repository import IdempotencyRepository
from memory.idempotency.service import IdempotencyService
from memory.inspection.catalog import CatalogReader
from memory.inspection.ddl import Dumps
from memory.inspection.service import InspectionService
from memory.operations.repository import OperationRepository
from memory.operations.runner import OperationRunner
from memory.operations.service import OperationService
from memory.statements.directory import Directory
from memory.statements.executor import Executor
from memory.statements.journal import Journal
from memory.statements.judge import Guard, Judge
from memory.statements.recovery import Recovery
from memory.statements.service import StatementService
from memory.statements.streams import Streams
from memory.transfer.export import ExportService
from memory.transfer.export_rows import ExportedRows
from memory.transfer.upload import UploadService

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
    tenant_server: TenantServer = field(init=False)
    sessions: TenantSessions = field(init=False)
    directory: Directory = field(init=False)
    journal: Journal = field(default_factory=Journal)
    judge: Judge | None = None
    statements: StatementService = field(init=False)
    exports: ExportService = field(init=False)
    inspection: InspectionService = field(init=False)
    uploads: UploadService = field(init=False)

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
        self._make_statements()

    def _make_statements(self) -> None:
        settings = self.settings
        server = TenantServer(
            settings.dsn or "",
            server_settings=session_settings(settings),
            timeout=settings.connect_timeout,
            byte_limit=settings.sql_byte_limit,
            prepares=True,
        )

        async def log_in(login: str, beginning: str) -> TenantConnection:
            password = derive(self.master_secret, login)
            return await server.log_in(login, password, beginning=beginning)

        sessions = TenantSessions(
            log_in,
            limit=settings.sql_sessions,
            per_login=settings.sql_sessions_per_login,
            idle=settings.sql_session_idle,
            patience=settings.pool_timeout,
            metrics=self.metrics,
        )
        directory = Directory(self._look_up, self.metrics)
        executor = Executor(sessions, settings, context_key(self.master_secret))
        judge, journal = self.judge or Guard(self.metrics), self.journal
        recovery = Recovery(directory, self._renew_logins)
        streams, rows = Streams(executor, settings), ExportedRows(executor, settings)
        parts = {
            "tenant_server": server,
            "sessions": sessions,
            "directory": directory,
            "statements": StatementService(directory, executor, streams, judge, journal, recovery),
            "exports": ExportService(directory, rows, judge, journal, recovery),
            "uploads": UploadService(directory, executor, journal, settings, recovery),
            "inspection": self._inspection(executor, recovery),
        }
        for name, part in parts.items():
            object.__setattr__(self, name, part)

    def _inspection(self, executor: Executor, recovery: Recovery) -> InspectionService:
        settings = self.settings
        dumps = Dumps(
            self._login_url,
            self._programs,
            patience=settings.pool_timeout,
            limit=settings.sql_byte_limit,
        )
        catalog = CatalogReader(executor, settings.sql_timeout)
        return InspectionService(
            self.database, self.databases, self.audit, catalog, dumps, recovery
        )

    def _login_url(self, login: RoleName) -> str:
        secret = derive(self.master_secret, login.name)
        return login_url(self.settings.dsn or "", login.name, secret)

    async def _look_up(self, database_id: int) -> DatabaseEntry | None:
        return await self.database.reading(
            lambda session: self.databases(session).entry(database_id)
        )

    async def _renew_logins(self, database_id: int) -> None:
        await self.database.transaction(
            lambda session: self.repairs(session).renew_logins(database_id)
        )

    def known_caller(self, token: str) -> Caller | None:
        """The caller of a key that this worker knows.

        Raises:
            NotAuthenticated: its secret is another.
        """
        return ApiKeyService.known_caller(token, self.known_keys, self.key_usage)

    @property
    def caches(self) -> Mapping[str, Hearing]:
        """What forgets when a change is heard of, by the kind of what changed."""
        return {"key": self.known_keys, "database": self.directory}

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

    async def mend(self, kind: str, name: str) -> str:
        """Mend one difference between the catalog and the control schema; gives what was done."""

        async def work(session: Session) -> str:
            if kind in KINDS:
                return await self.connection_repairs(session).mend(kind, name)
            return await self.repairs(session).mend(kind, name)

        return await self.database.transaction(work)

    def connection_repairs(self, session: Session) -> ConnectionRepairs:
        return ConnectionRepairs(ConnectionRepository(session), self.audit(session))

    def connections(self, session: Session) -> ConnectionService:
        return ConnectionService(
            ConnectionRepository(session),
            self.databases(session),
            self.audit(session),
            self.ids,
            self.settings,
        )

    def ephemeral(self, session: Session) -> EphemeralService:
        return EphemeralService(EphemeralRepository(session), self.databases(session))

    def reaper(self) -> Reaper:
        return Reaper(
            self.database,
            self.databases,
            self.runner,
            self.settings.reaper_in_use,
            self.metrics,
        )

    def databases(self, session: Session) -> DatabaseService:
        return DatabaseService(
            DatabaseRepository(session),
            self.audit(session),
            self.ids,
            self.master_secret,
            self.operations(session),
            self.runner.worker,
            self.settings.drop_retention,
        )
