import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.errors import NotAuthenticated
from core.ids import IdGenerator
from memory.api_keys.cache import KeyCache, KnownKey
from memory.api_keys.errors import KeyCommandError
from memory.api_keys.models import ApiKey
from memory.api_keys.repository import ApiKeyRepository
from memory.api_keys.usage import KeyUsage
from memory.audit.service import AuditTrail
from memory.caller import Caller, Scope

# pgt_<12 hexadecimal digits to look the key up by>_<64 of the secret, 256 bits>
_FORM = re.compile(r"^pgt_([0-9a-f]{12})_([0-9a-f]{64})$")
OPERATOR = "pgtwind"


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is to allow.

    Attributes:
        uid: the only uid it acts for; None: any, for an administrator, and for an application
            whose end users' SQL it runs.
        spaces: the spaces it is a member of; `*` stands for all.
        expires_in: how long it works; None: until it is revoked.
    """

    uid: str | None
    scopes: frozenset[Scope]
    spaces: frozenset[str] = frozenset()
    app_id: str | None = None
    name: str = ""
    expires_in: timedelta | None = None


class ApiKeyService:
    """API keys: shown once, kept as a hash, found by their prefix."""

    def __init__(
        self,
        keys: ApiKeyRepository,
        audit: AuditTrail,
        ids: IdGenerator,
        usage: KeyUsage,
        known: KeyCache,
    ) -> None:
        self._keys = keys
        self._audit = audit
        self._ids = ids
        self._usage = usage
        self._known = known

    @staticmethod
    def known_caller(token: str, known: KeyCache, usage: KeyUsage) -> Caller | None:
        """The caller of a key that this worker knows, for whom PostgreSQL need not be asked.

        Raises:
            NotAuthenticated: the key is known, and its secret another.
        """
        found = _FORM.match(token)
        key = known.get(found[1]) if found else None
        return _verified(found[2], key, usage) if found and key else None

    async def authenticate(self, token: str, *, afresh: bool = False) -> Caller:
        """The caller that a key stands for.

        Args:
            afresh: ask PostgreSQL, whatever this worker knows.

        Raises:
            NotAuthenticated: no such key, or it is revoked or expired; which, is not said.
        """
        found = _FORM.match(token)
        key = await self._known_at(found[1], afresh=afresh) if found else None
        if found is None or key is None:
            raise NotAuthenticated
        return _verified(found[2], key, self._usage)

    async def _known_at(self, prefix: str, *, afresh: bool) -> KnownKey | None:
        known = None if afresh else self._known.get(prefix)
        if known is not None:
            return known
        version, asked_at = self._known.version, time.monotonic()
        key = await self._keys.usable_at(prefix)
        if key is None:
            return None
        caller = Caller(
            uid=key.uid,
            scopes=frozenset(Scope(scope) for scope in key.scopes),
            app_id=key.app_id or "",
            key_id=key.id,
            spaces=frozenset(key.spaces),
        )
        until = None if key.seconds_left is None else asked_at + key.seconds_left
        known = KnownKey(key.id, key.secret_hash, caller, until)
        self._known.put(prefix, known, version)
        return known

    async def create(self, wanted: NewKey) -> tuple[ApiKey, str]:
        """Make a key.

        Returns:
            The key's row and the token, which can't be shown again.

        Raises:
            KeyCommandError: no scope; or no uid, without the scope `admin` and without being
                an application's for its end users' SQL alone.
        """
        if not wanted.scopes:
            raise KeyCommandError("a key needs a scope: " + ", ".join(Scope))
        is_apps = wanted.app_id is not None and wanted.scopes <= {Scope.SQL_DML}
        if wanted.uid is None and Scope.ADMIN not in wanted.scopes and not is_apps:
            raise KeyCommandError(
                "a key needs a uid, or the scope admin, or an app and the scope sql:dml alone"
            )
        prefix, secret = secrets.token_hex(6), secrets.token_hex(32)
        lasting = wanted.expires_in
        expires_at = None if lasting is None else datetime.now(UTC) + lasting
        key = ApiKey(
            id=self._ids.next(),
            prefix=prefix,
            secret_hash=_hash(secret),
            name=wanted.name,
            uid=wanted.uid,
            app_id=wanted.app_id,
            spaces=sorted(wanted.spaces),
            scopes=sorted(wanted.scopes),
            expires_at=expires_at,
            create_by=OPERATOR,
        )
        await self._keys.add(key)
        await self._record("create_key", key)
        return key, f"pgt_{prefix}_{secret}"

    async def bootstrap(self) -> str | None:
        """The first key, for an administrator; None when there has been one already."""
        if not await self._keys.none_yet():
            return None
        wanted = NewKey(uid=None, scopes=frozenset({Scope.ADMIN}), name="bootstrap")
        return (await self.create(wanted))[1]

    async def all(self) -> Sequence[ApiKey]:
        return await self._keys.all()

    async def revoke(self, prefix: str) -> ApiKey:
        """End a key at once.

        Raises:
            KeyCommandError: there is no such key.
        """
        key = await self._find(prefix)
        await self._keys.revoke(key.id)
        await self._record("revoke_key", key)
        return key

    async def rotate(self, prefix: str, overlap: timedelta) -> tuple[ApiKey, str]:
        """A new key with the rights of an old one, which works on for a while.

        Args:
            overlap: how long the old key still works.

        Raises:
            KeyCommandError: there is no such key, or it was revoked.
        """
        old = await self._find(prefix)
        if old.revoked_at is not None:
            raise KeyCommandError(f"the key pgt_{old.prefix} is revoked; make a new one")
        now = datetime.now(UTC)
        if old.expires_at is not None and old.expires_at <= now:
            raise KeyCommandError(f"the key pgt_{old.prefix} has expired; make a new one")
        wanted = NewKey(
            uid=old.uid,
            scopes=frozenset(Scope(scope) for scope in old.scopes),
            spaces=frozenset(old.spaces),
            app_id=old.app_id,
            name=old.name,
            expires_in=old.expires_at - now if old.expires_at else None,
        )
        await self._keys.expire_within(old.id, overlap.total_seconds())
        return await self.create(wanted)

    async def _find(self, prefix: str) -> ApiKey:
        found = re.match(r"^(?:pgt_)?([0-9a-f]{12})", prefix)
        key = await self._keys.by_prefix(found[1]) if found else None
        if key is None:
            raise KeyCommandError(f"there is no key {prefix[:16]}")
        return key

    async def _record(self, action: str, key: ApiKey) -> None:
        details = {"prefix": key.prefix, "uid": key.uid, "scopes": key.scopes}
        await self._audit.record(action, OPERATOR, key_id=key.id, details=details)


def _verified(secret: str, key: KnownKey, usage: KeyUsage) -> Caller:
    if not hmac.compare_digest(_hash(secret), key.secret_hash):
        raise NotAuthenticated
    usage.note(key.id)
    return key.caller


def _hash(secret: str) -> bytes:
    """256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).digest()
