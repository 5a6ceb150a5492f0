"""Who calls, and what that allows: decided here and nowhere else."""

from dataclasses import dataclass, field
from enum import StrEnum

from core.errors import InvalidRequest, NotAuthorized
from core.telemetry import current_request

ANY_SPACE = "*"
APP_ID_TEXT = "1 to 64 characters, no colon, no control characters"


def is_app_id(value: str) -> bool:
    """Whether an application may have this id.

    A row belongs to `{app}:{uid}`: with a colon in it, one application could pass for another.
    """
    return 0 < len(value) <= 64 and ":" not in value and value.isprintable()


class Scope(StrEnum):
    """What a key may do; `admin` includes all, for any uid."""

    ADMIN = "admin"
    DATABASES_READ = "databases:read"
    DATABASES_WRITE = "databases:write"
    SQL_DDL = "sql:ddl"
    SQL_DML = "sql:dml"
    CONNECTIONS = "connections"


# What a key may do when nothing else is said: neither act for everybody, nor give out what works on
# when the key is revoked.
USUAL = frozenset(Scope) - {Scope.ADMIN, Scope.CONNECTIONS}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller.

    Attributes:
        uid: the only uid it may act for; None: any that it names, for an administrator, a gateway
            or an application.
        app_id: the application it belongs to, "" for none.
        spaces: the spaces it may act in; `*` stands for all.
    """

    uid: str | None
    scopes: frozenset[Scope]
    app_id: str = ""
    key_id: int | None = None
    spaces: frozenset[str] = field(default_factory=frozenset)

    @property
    def any_uid(self) -> bool:
        return self.uid is None

    @property
    def any_space(self) -> bool:
        return ANY_SPACE in self.spaces or Scope.ADMIN in self.scopes

    def acting_uid(self, uid: str | None, space_id: str = "") -> str:
        """The uid that a call is made for.

        Args:
            uid: as the call gives it; None: the caller's own.
            space_id: the space the call is about, "" for none.

        Raises:
            NotAuthorized: the uid is not the caller's, or the space is none of its spaces.
            InvalidRequest: the caller has no uid of its own and the call names none.
        """
        if self.uid is not None and uid is not None and uid != self.uid:
            raise NotAuthorized("The key is bound to another uid")
        acting = self.uid if uid is None else uid
        if acting is None:
            raise InvalidRequest(
                "uid: required, for the key is not bound to one",
                details=[{"field": "uid", "message": "required"}],
            )
        if space_id and not self.any_space and space_id not in self.spaces:
            raise NotAuthorized(f"The key is not a member of the space {space_id}")
        context = current_request()
        if context is not None:
            context.uid = acting
        return acting

    def require(self, scope: Scope) -> None:
        """Refuse a caller without the scope.

        Raises:
            NotAuthorized: it has neither the scope nor `admin`.
        """
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            raise NotAuthorized(f"The key lacks the scope {scope}")
