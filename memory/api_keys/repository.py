from collections.abc import Collection, Sequence
from typing import NamedTuple

from core.postgres.engine import Session
from core.postgres.locks import Lock, hold
from memory.api_keys.models import ApiKey

_COLUMNS = ", ".join(ApiKey.model_fields)


class UsableKey(NamedTuple):
    """The part of a key that a request needs.

    Attributes:
        seconds_left: how long it works from the look-up on; None: until it is revoked.
    """

    id: int
    secret_hash: bytes
    uid: str | None
    app_id: str | None
    spaces: list[str]
    scopes: list[str]
    seconds_left: float | None


class ApiKeyRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, key: ApiKey) -> None:
        await self._session.execute(
            "INSERT INTO pgtwin.api_key (id, prefix, secret_hash, name, uid, app_id, spaces,"
            " scopes, expires_at, create_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            key.id,
            key.prefix,
            key.secret_hash,
            key.name,
            key.uid,
            key.app_id,
            key.spaces,
            key.scopes,
            key.expires_at,
            key.create_by,
        )

    async def by_prefix(self, prefix: str) -> ApiKey | None:
        row = await self._session.fetchrow(
            f"SELECT {_COLUMNS} FROM pgtwin.api_key WHERE prefix = $1", prefix
        )
        return ApiKey.of(row) if row else None

    async def usable_at(self, prefix: str) -> UsableKey | None:
        """What a caller is known by, unless the key is revoked or has expired by PostgreSQL's
        clock."""
        row = await self._session.fetchrow(
            "SELECT id, secret_hash, uid, app_id, spaces, scopes,"
            " extract(epoch FROM expires_at - now())::float8 FROM pgtwin.api_key"
            " WHERE prefix = $1 AND revoked_at IS NULL AND coalesce(expires_at > now(), true)",
            prefix,
        )
        return UsableKey(*row) if row else None

    async def all(self) -> Sequence[ApiKey]:
        rows = await self._session.fetch(f"SELECT {_COLUMNS} FROM pgtwin.api_key ORDER BY id")
        return [ApiKey.of(row) for row in rows]

    async def none_yet(self) -> bool:
        """Whether no key was ever made; nobody else can make the first until the end."""
        await hold(self._session, Lock.BOOTSTRAP_KEY)
        return not await self._session.fetchval("SELECT EXISTS (SELECT FROM pgtwin.api_key)")

    async def revoke(self, key_id: int) -> None:
        await self._session.execute(
            "UPDATE pgtwin.api_key SET revoked_at = now() WHERE id = $1", key_id
        )

    async def expire_within(self, key_id: int, seconds: float) -> None:
        """Let the key end after a while, unless it ends sooner."""
        await self._session.execute(
            "UPDATE pgtwin.api_key"
            " SET expires_at = least(expires_at, now() + make_interval(secs => $2)) WHERE id = $1",
            key_id,
            seconds,
        )

    async def touch(self, key_ids: Collection[int]) -> None:
        """Keys that another worker touches at this moment are touched already."""
        await self._session.execute(
            "UPDATE pgtwin.api_key SET last_used_at = now() WHERE id IN ("
            "SELECT id FROM pgtwin.api_key WHERE id = ANY ($1::bigint[])"
            " FOR UPDATE SKIP LOCKED)",
            list(key_ids),
        )
