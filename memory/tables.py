"""Every table of the control schema, for whoever needs the metadata whole."""

from memory.api_keys.models import ApiKey
from memory.audit.models import AuditEntry
from memory.connections.models import Connection, RetiredRole
from memory.databases.models import DatabaseMeta, SchemaMeta
from memory.ephemeral.models import ReaperDelay
from memory.idempotency.models import StoredAnswer
from memory.instances.models import InstanceLease
from memory.operations.models import Operation

TABLES = (
    DatabaseMeta,
    SchemaMeta,
    Connection,
    RetiredRole,
    ReaperDelay,
    ApiKey,
    AuditEntry,
    InstanceLease,
    Operation,
    StoredAnswer,
)
