"""The bundled PostgreSQL: its folder, its processes, its life cycle; it knows no tenants."""

from core.postgres.embedded.binaries import Binaries, bundled_binaries
from core.postgres.embedded.errors import EmbeddedServerError
from core.postgres.embedded.folder import restarts_in
from core.postgres.embedded.server import EmbeddedServer

__all__ = ["Binaries", "EmbeddedServer", "EmbeddedServerError", "bundled_binaries", "restarts_in"]
