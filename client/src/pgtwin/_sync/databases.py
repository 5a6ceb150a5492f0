from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Literal

from pgtwin import errors, models
from pgtwin._sync.calls import Calls, Environments

# A throwaway database that nobody drops lives so long, in seconds.
THROWAWAY = 3600


class DatabaseCalls(Calls):
    """Databases: made, found, copied, dropped and brought back."""

    def create_database(
        self,
        name: str,
        *,
        description: str | None = None,
        ttl_seconds: int | None = None,
        expires_at: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        protected: bool | None = None,
    ) -> models.DatabaseRef:
        """Create a database: two environments, prod and test.

        Args:
            ttl_seconds, expires_at: when it is dropped by itself; one of them or none.
            labels: to find it by, and to drop it by.
            protected: it can't be dropped until that is taken back.
        """
        made = self._post(
            "create_database",
            database_name=name,
            description=description,
            ttl_seconds=ttl_seconds,
            expires_at=expires_at,
            labels=labels,
            protected=protected,
        )
        return models.DatabaseRef.of(made)

    def clone_database(
        self,
        database_id: int,
        new_name: str,
        *,
        env: Environments | None = None,
        data: Literal["all", "none"] | None = None,
        ttl_seconds: int | None = None,
        expires_at: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        protected: bool | None = None,
    ) -> models.Cloned:
        """Copy a database whole into a new one.

        Args:
            env: what is copied; the other environment is empty.
            data: `none` copies the definition without the rows.
        """
        made = self._post(
            "clone_database",
            database_id=database_id,
            new_database_name=new_name,
            env=env,
            data=data,
            ttl_seconds=ttl_seconds,
            expires_at=expires_at,
            labels=labels,
            protected=protected,
        )
        return models.Cloned.of(made)

    def get_database(self, database_id: int, *, include_dropped: bool = False) -> models.Database:
        """A database with its schemas and their sizes."""
        shown = {"include_dropped": "true"} if include_dropped else {}
        return models.Database.of(self._transport.get(f"databases/{database_id}", **shown))

    def list_databases(
        self,
        *,
        name_prefix: str | None = None,
        labels: Mapping[str, str] | Sequence[str] | None = None,
        include_dropped: bool = False,
        page_size: int = 100,
    ) -> Iterator[models.Database]:
        """The databases that the key may see, the newest first; pages are asked for as needed.

        Args:
            labels: those that a database must have; without values: whatever the value is.
        """
        wanted = list(labels or ())
        if isinstance(labels, Mapping):
            wanted = [f"{name}={value}" for name, value in labels.items()]
        query: dict[str, Any] = {
            **self._who,
            "name_prefix": name_prefix,
            "label": wanted or None,
            "include_dropped": "true" if include_dropped else None,
            "limit": page_size,
        }
        for found in self._pages("databases", "databases", query):
            yield models.Database.of(found)

    def drop_database(self, database_id: int, *, purge: bool | None = None) -> models.Dropped:
        """Drop a database. It can be restored for a while, unless it expires or is purged.

        Args:
            purge: it goes at once, and for good.
        """
        gone = self._post("drop_database", database_id=database_id, purge=purge)
        return models.Dropped.of({"database_id": database_id, **(gone or {})})

    def drop_databases(
        self, labels: Mapping[str, str], *, purge: bool | None = None
    ) -> models.DroppedMany:
        """Drop up to 100 databases that have all of the labels, the oldest first."""
        gone = self._post("drop_databases", labels=labels, purge=purge)
        return models.DroppedMany.of(gone)

    def restore_database(
        self, database_id: int, *, new_name: str | None = None
    ) -> models.DatabaseRef:
        """Bring back a dropped database with its data, its connections and its name.

        Args:
            new_name: where the old one is taken.
        """
        back = self._post("restore_database", database_id=database_id, new_name=new_name)
        return models.DatabaseRef.of(back)

    def set_expiration(
        self,
        database_id: int,
        *,
        expires_at: datetime | None = None,
        ttl_seconds: int | None = None,
    ) -> datetime | None:
        """Say when a database is dropped by itself; without either, it never is.

        Returns:
            The time; None: never.
        """
        fields: dict[str, Any] = {"database_id": database_id, **self._given_who()}
        if ttl_seconds is not None:
            fields["ttl_seconds"] = ttl_seconds
        else:
            fields["expires_at"] = expires_at.isoformat() if expires_at else None
        told = self._transport.send("set_expiration", fields)
        return datetime.fromisoformat(told["expires_at"]) if told["expires_at"] else None

    def set_labels(self, database_id: int, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Give a database these labels and no others."""
        told = self._post("set_labels", database_id=database_id, labels=labels)
        found: Mapping[str, str] = told["labels"]
        return found

    def set_protection(self, database_id: int, protected: bool) -> None:
        """Say whether a database can be dropped."""
        self._post("set_protection", database_id=database_id, protected=protected)

    def set_description(self, database_id: int, description: str | None) -> None:
        """Set a database's description; None clears it."""
        self._post("modify_db_description", database_id=database_id, description=description)

    def grant_app(self, database_id: int, app_id: str) -> None:
        """Let an application run SQL in a database for its end users."""
        self._post("grant_app", database_id=database_id, app_id=app_id)

    def revoke_app(self, database_id: int, app_id: str) -> None:
        """Take that back."""
        self._post("revoke_app", database_id=database_id, app_id=app_id)

    @contextmanager
    def throwaway(
        self,
        name: str,
        *,
        clone_from: int | None = None,
        ttl_seconds: int = THROWAWAY,
        labels: Mapping[str, str] | None = None,
    ) -> Generator[models.DatabaseRef, None]:
        """A database for as long as the block runs.

        Args:
            clone_from: of which it is a copy.
            ttl_seconds: after which it is dropped where the program could not.
        """
        made: models.DatabaseRef
        if clone_from is None:
            made = self.create_database(name, ttl_seconds=ttl_seconds, labels=labels)
        else:
            made = self.clone_database(clone_from, name, ttl_seconds=ttl_seconds, labels=labels)
        try:
            yield made
        finally:
            with suppress(errors.DatabaseNotFound):
                self.drop_database(made.id, purge=True)
