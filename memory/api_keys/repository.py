from collections.abc import Collection, Sequence

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from core.postgres.locks import Lock, hold
from memory.api_keys.models import ApiKey


class ApiKeyRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, key: ApiKey) -> None:
        self._session.add(key)
        await self._session.flush()

    async def by_prefix(self, prefix: str) -> ApiKey | None:
        query = select(ApiKey).where(ApiKey.prefix == prefix)
        return (await self._session.exec(query)).one_or_none()

    async def usable_at(self, prefix: str) -> ApiKey | None:
        """The key, unless it is revoked or has expired by the database's clock."""
        query = select(ApiKey).where(
            ApiKey.prefix == prefix,
            col(ApiKey.revoked_at).is_(None),
            func.coalesce(ApiKey.expires_at > func.now(), True),
        )
        return (await self._session.exec(query)).one_or_none()

    async def all(self) -> Sequence[ApiKey]:
        return (await self._session.exec(select(ApiKey).order_by(col(ApiKey.id)))).all()

    async def none_yet(self) -> bool:
        """Whether no key was ever made; nobody else can make the first until the end."""
        await hold(await self._session.connection(), Lock.BOOTSTRAP_KEY)
        return (await self._session.exec(select(ApiKey.id).limit(1))).one_or_none() is None

    async def revoke(self, key: ApiKey) -> None:
        key.revoked_at = func.now()  # type: ignore[assignment]
        await self._session.flush()

    async def expire_within(self, key: ApiKey, seconds: float) -> None:
        """Let the key end after a while, unless it ends sooner."""
        end = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        key.expires_at = func.least(ApiKey.expires_at, end)  # type: ignore[assignment]
        await self._session.flush()

    async def touch(self, key_ids: Collection[int]) -> None:
        """Keys that another worker touches at this moment are touched already."""
        free = (
            select(ApiKey.id).where(col(ApiKey.id).in_(key_ids)).with_for_update(skip_locked=True)
        )
        statement = update(ApiKey).where(col(ApiKey.id).in_(free))
        await self._session.exec(
            statement.values(last_used_at=func.now()).execution_options(synchronize_session=False)
        )
