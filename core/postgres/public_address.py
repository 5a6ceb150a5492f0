"""Where clients outside of the service find PostgreSQL."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from core.settings import Settings

PORT = 5432
# What drivers do by themselves; some take no word of it in a URI.
_USUAL = ("", "allow", "prefer")


@dataclass(frozen=True, slots=True)
class PublicAddress:
    """A server's address as clients are told it; `sslmode` is "" where none is asked for."""

    host: str
    port: int
    dbname: str
    sslmode: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """That of the server which the service uses, but for what settings say otherwise."""
        parts = urlsplit(settings.dsn or "")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        # Of several servers, the first.
        first = (options.get("host") or parts.netloc.rpartition("@")[2]).split(",")[0]
        host, port = (first, "") if "host" in options else _split(first)
        given = settings.public_database_port or options.get("port", port).split(",")[0]
        sslmode = settings.public_database_sslmode or options.get("sslmode", "")
        return cls(
            host=settings.public_database_host or host or "localhost",
            port=int(given or PORT),
            dbname=unquote(parts.path.lstrip("/")),
            sslmode="" if sslmode in _USUAL else sslmode,
        )

    def uri(self, user: str, password: str) -> str:
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        asked = f"?sslmode={self.sslmode}" if self.sslmode else ""
        return f"postgresql://{login}@{host}:{self.port}/{quote(self.dbname, safe='')}{asked}"


def _split(address: str) -> tuple[str, str]:
    """Host and port, which may be missing; an IPv6 address stands in brackets."""
    host, _, rest = address.rpartition("]") if "]" in address else ("", "", address)
    if host:
        return unquote(host.lstrip("[")), rest.lstrip(":")
    name, _, port = rest.partition(":")
    return unquote(name), port
