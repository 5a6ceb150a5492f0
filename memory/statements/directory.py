"""Which database a call is about, and what its caller may do in it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.cache import Cache
from core.errors import InvalidRequest, NotAuthorized
from core.metrics import Metrics
from core.postgres.identifiers import Environment
from memory.caller import Caller, Scope
from memory.databases.errors import DatabaseNotFound, SpaceNotFound
from memory.databases.models import DatabaseEntry
from memory.inputs import DatabaseAddress
from memory.statements.schemas import Audience, RowsAddress

LIMIT = 10_000
# A row belongs to `{app}:{uid}`.
SEPARATOR = ":"
LookUp = Callable[[int], Awaitable[DatabaseEntry | None]]


@dataclass(frozen=True, slots=True)
class EndUser:
    """Whose rows a call sees."""

    app_id: str
    uid: str


@dataclass(frozen=True, slots=True)
class Access:
    """A database and the caller's place in it.

    Attributes:
        acting: the uid that the call is made for.
        end_user: None: the database's owner, or one of his space.
        app_id: the application that calls, "" for none.
    """

    database: DatabaseEntry
    acting: str
    end_user: EndUser | None
    app_id: str = ""


class Directory:
    """Databases by their id, kept while the worker hears of changes to them.

    That a database was dropped is not heard: its sessions have ended, so that whoever still knows
    it meets that, calls `confirm`, and knows it no more. Nor is it heard that one got back what it
    had lost, so that one which lacks a schema is not kept.
    """

    def __init__(self, look_up: LookUp, metrics: Metrics | None) -> None:
        self._look_up = look_up
        self._entries: Cache[int, DatabaseEntry] = Cache("databases", LIMIT, metrics, is_open=False)
        self.open, self.close = self._entries.open, self._entries.close

    def forget_named(self, key: str) -> None:
        self._entries.forget(int(key))

    async def find(self, database_id: int) -> DatabaseEntry:
        """A live database.

        Raises:
            DatabaseNotFound
        """
        known = self._entries.get(database_id)
        if known is not None:
            return known
        version = self._entries.version
        found = await self._look_up(database_id)
        if found is None:
            raise DatabaseNotFound
        if found.schemas.keys() >= set(Environment):
            self._entries.put(database_id, found, version)
        return found

    async def confirm(self, database_id: int) -> None:
        """Ask anew whether a database is there.

        Raises:
            DatabaseNotFound: it is not.
        """
        self._entries.forget(database_id)
        await self.find(database_id)

    async def as_owner(self, caller: Caller, body: DatabaseAddress) -> Access:
        """For a call that only the database's owner, or a member of its space, may make.

        Raises:
            NotAuthorized, InvalidRequest, SpaceNotFound, DatabaseNotFound
        """
        acting = caller.acting_uid(body.uid, body.space_id)
        found = await self._in_space(body)
        if not _owns(caller, acting, body, found):
            raise DatabaseNotFound
        return Access(found, acting, None, caller.app_id)

    async def vouched(self, caller: Caller, body: RowsAddress) -> Access:
        """For a call on the drop-in mount, where workflows run as the end user whom the gateway
        vouches for, in anybody's database: he has rows of his own there and no more.

        Raises:
            NotAuthorized, InvalidRequest, SpaceNotFound, DatabaseNotFound
        """
        acting = caller.acting_uid(body.uid, body.space_id)
        found = await self._in_space(body)
        return Access(found, acting, _end_user(body.app_id, acting), body.app_id)

    async def as_asked(self, caller: Caller, body: RowsAddress) -> Access:
        """For a call on `/v1`: as the owner, or as an end user.

        Raises:
            NotAuthorized, InvalidRequest, SpaceNotFound, DatabaseNotFound
        """
        acting = caller.acting_uid(body.uid, body.space_id)
        found = await self._in_space(body)
        if caller.app_id and body.app_id not in ("", caller.app_id):
            raise NotAuthorized("The key belongs to another application")
        try:
            return _access(caller, acting, body, found)
        except (DatabaseNotFound, NotAuthorized):
            # What this worker knows may be older than a grant by a moment.
            await self.confirm(body.database_id)
            return _access(caller, acting, body, await self._in_space(body))

    async def _in_space(self, body: DatabaseAddress) -> DatabaseEntry:
        try:
            found = await self.find(body.database_id)
        except DatabaseNotFound:
            if body.space_id:
                raise _not_in_space(body) from None
            raise
        if body.space_id and found.space_id != body.space_id:
            raise _not_in_space(body)
        return found


def _access(caller: Caller, acting: str, body: RowsAddress, found: DatabaseEntry) -> Access:
    is_app = bool(caller.app_id) and Scope.ADMIN not in caller.scopes
    is_granted = bool(caller.app_id) and caller.app_id in found.apps
    # An application's key that is bound to no uid names any end user, but is no owner.
    owns = not (is_app and caller.uid is None) and _owns(caller, acting, body, found)
    if not owns and not is_granted and Scope.ADMIN not in caller.scopes:
        raise DatabaseNotFound
    audience = body.as_ or (Audience.END_USER if is_app else Audience.OWNER)
    if audience is Audience.END_USER:
        app_id = caller.app_id or body.app_id
        return Access(found, acting, _end_user(app_id, acting), app_id)
    if owns:
        return Access(found, acting, None, caller.app_id)
    if is_granted:
        raise NotAuthorized("An application acts as its end users, not as the database's owner")
    raise DatabaseNotFound


def _owns(caller: Caller, acting: str, body: DatabaseAddress, found: DatabaseEntry) -> bool:
    if body.space_id:
        # That the caller is a member was checked with his uid.
        return True
    return found.uid == acting or (found.space_id != "" and found.space_id in caller.spaces)


def _not_in_space(body: DatabaseAddress) -> SpaceNotFound:
    return SpaceNotFound(
        f"The space {body.space_id} does not exist or does not contain the database "
        f"{body.database_id}"
    )


def _end_user(app_id: str, uid: str) -> EndUser:
    if not app_id and SEPARATOR in uid:
        raise InvalidRequest.of("uid", "has a colon, and so needs the app_id that it belongs to")
    return EndUser(app_id, uid)
