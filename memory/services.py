"""The service's parts, put together once a process, and its services, once a transaction."""

from dataclasses import dataclass, field

from sqlmodel.ext.asyncio.session import AsyncSession

from core.ids import IdGenerator
from core.postgres.engine import Database
from core.settings import Settings
from memory.api_keys.repository import ApiKeyRepository
from memory.api_keys.service import ApiKeyService
from memory.api_keys.usage import KeyUsage
from memory.audit.repository import AuditRepository
from memory.audit.service import AuditTrail
from memory.databases.repository import DatabaseRepository
from memory.databases.service import DatabaseService


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    database: Database
    master_secret: str = field(repr=False)
    ids: IdGenerator = field(default_factory=IdGenerator)
    key_usage: KeyUsage = field(default_factory=KeyUsage)

    def audit(self, session: AsyncSession) -> AuditTrail:
        return AuditTrail(AuditRepository(session))

    def api_keys(self, session: AsyncSession) -> ApiKeyService:
        return ApiKeyService(
            ApiKeyRepository(session), self.audit(session), self.ids, self.key_usage
        )

    def databases(self, session: AsyncSession) -> DatabaseService:
        return DatabaseService(
            DatabaseRepository(session), self.audit(session), self.ids, self.master_secret
        )
