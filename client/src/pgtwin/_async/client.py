"""The service's calls."""

import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, TypeAlias

import httpx

from pgtwin import errors, models
from pgtwin._async.transport import AsyncTransport
from pgtwin._retry import Retry
from pgtwin._waiting import async_sleep

Environment: TypeAlias = Literal["prod", "test"]
Environments: TypeAlias = Literal["prod", "test", "both"]
Audience: TypeAlias = Literal["owner", "end_user"]
Format: TypeAlias = Literal["csv", "json", "ndjson", "parquet"]
Progress: TypeAlias = Callable[[models.Operation], None]
# Seconds between two looks at an operation.
LOOK = 0.2
# A throwaway database that nobody drops lives so long, in seconds.
THROWAWAY = 3600


class AsyncClient:
    """All calls of a pgtwin service.

    Args:
        url: of the service; None: PGTWIN_URL, or http://127.0.0.1:7990.
        key: an API key; None: PGTWIN_KEY.
        uid: for whom the calls are made; None: that of PGTWIN_UID, or whom the key belongs to.
        space_id: the space that databases are in; "": one's own.
        timeout: seconds for an answer.
        retry: how often a call is sent again.
        http: an httpx client of the caller's own, which is not closed.

    Each call raises a class of `pgtwin.errors`: what the service answers, or `ServerUnreachable`,
    `IncompatibleServer`.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        uid: str | None = None,
        space_id: str = "",
        timeout: float = 60.0,
        retry: Retry | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._transport = AsyncTransport(
            url, key, timeout=timeout, retry=retry or Retry(), http=http
        )
        self.url = self._transport.url
        self._who = {"uid": uid or os.environ.get("PGTWIN_UID"), "space_id": space_id or None}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._transport.close()

    # Databases.

    async def create_database(
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
        made = await self._post(
            "create_database",
            database_name=name,
            description=description,
            ttl_seconds=ttl_seconds,
            expires_at=expires_at,
            labels=labels,
            protected=protected,
        )
        return models.DatabaseRef.of(made)

    async def clone_database(
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
        made = await self._post(
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

    async def get_database(
        self, database_id: int, *, include_dropped: bool = False
    ) -> models.Database:
        """A database with its schemas and their sizes."""
        shown = {"include_dropped": "true"} if include_dropped else {}
        return models.Database.of(await self._transport.get(f"databases/{database_id}", **shown))

    async def list_databases(
        self,
        *,
        name_prefix: str | None = None,
        labels: Mapping[str, str] | Sequence[str] | None = None,
        include_dropped: bool = False,
        page_size: int = 100,
    ) -> AsyncIterator[models.Database]:
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
        async for found in self._pages("databases", "databases", query):
            yield models.Database.of(found)

    async def drop_database(self, database_id: int, *, purge: bool | None = None) -> models.Dropped:
        """Drop a database. It can be restored for a while, unless it expires or is purged.

        Args:
            purge: it goes at once, and for good.
        """
        gone = await self._post("drop_database", database_id=database_id, purge=purge)
        return models.Dropped.of({"database_id": database_id, **(gone or {})})

    async def drop_databases(
        self, labels: Mapping[str, str], *, purge: bool | None = None
    ) -> models.DroppedMany:
        """Drop up to 100 databases that have all of the labels, the oldest first."""
        gone = await self._post("drop_databases", labels=labels, purge=purge)
        return models.DroppedMany.of(gone)

    async def restore_database(
        self, database_id: int, *, new_name: str | None = None
    ) -> models.DatabaseRef:
        """Bring back a dropped database with its data, its connections and its name.

        Args:
            new_name: where the old one is taken.
        """
        back = await self._post("restore_database", database_id=database_id, new_name=new_name)
        return models.DatabaseRef.of(back)

    async def set_expiration(
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
        told = await self._transport.send("set_expiration", fields)
        return datetime.fromisoformat(told["expires_at"]) if told["expires_at"] else None

    async def set_labels(self, database_id: int, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Give a database these labels and no others."""
        told = await self._post("set_labels", database_id=database_id, labels=labels)
        found: Mapping[str, str] = told["labels"]
        return found

    async def set_protection(self, database_id: int, protected: bool) -> None:
        """Say whether a database can be dropped."""
        await self._post("set_protection", database_id=database_id, protected=protected)

    async def set_description(self, database_id: int, description: str | None) -> None:
        """Set a database's description; None clears it."""
        await self._post("modify_db_description", database_id=database_id, description=description)

    async def grant_app(self, database_id: int, app_id: str) -> None:
        """Let an application run SQL in a database for its end users."""
        await self._post("grant_app", database_id=database_id, app_id=app_id)

    async def revoke_app(self, database_id: int, app_id: str) -> None:
        """Take that back."""
        await self._post("revoke_app", database_id=database_id, app_id=app_id)

    @asynccontextmanager
    async def throwaway(
        self,
        name: str,
        *,
        clone_from: int | None = None,
        ttl_seconds: int = THROWAWAY,
        labels: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[models.DatabaseRef, None]:
        """A database for as long as the block runs.

        Args:
            clone_from: of which it is a copy.
            ttl_seconds: after which it is dropped where the program could not.
        """
        made: models.DatabaseRef
        if clone_from is None:
            made = await self.create_database(name, ttl_seconds=ttl_seconds, labels=labels)
        else:
            made = await self.clone_database(
                clone_from, name, ttl_seconds=ttl_seconds, labels=labels
            )
        try:
            yield made
        finally:
            with suppress(errors.DatabaseNotFound):
                await self.drop_database(made.id, purge=True)

    # SQL.

    async def exec_ddl(
        self,
        database_id: int,
        ddl: str,
        *,
        env: Environments | None = None,
        as_: Audience | None = None,
    ) -> None:
        """Change tables, in both environments unless said otherwise: all statements or none.

        Args:
            as_: `owner` also admits indexes, views, types, sequences, functions and triggers.
        """
        await self._post("exec_ddl", database_id=database_id, ddl=ddl, env=env, as_=as_)

    async def rehearse_ddl(
        self,
        database_id: int,
        ddl: str,
        *,
        env: Environments | None = None,
        as_: Audience | None = None,
    ) -> models.Rehearsal:
        """What DDL would change and lock; nothing is kept."""
        told = await self._post(
            "exec_ddl", database_id=database_id, ddl=ddl, env=env, as_=as_, dry_run=True
        )
        return models.Rehearsal.of(told)

    async def exec_dml(
        self,
        database_id: int,
        dml: str,
        *,
        params: Sequence[Any] | None = None,
        env: Environment = "prod",
        as_: Audience | None = None,
        app_id: str | None = None,
        read_only: bool | None = None,
        dry_run: bool | None = None,
        explain: Literal["plan", "analyze"] | None = None,
        rows: Literal["objects", "arrays"] | None = None,
    ) -> models.Result:
        """Run statements in one transaction: all of them or none.

        Args:
            params: of one statement; a list of lists runs it once for each.
            app_id: the application whose end user acts.
            rows: how they are answered; as objects if not said.
        """
        told = await self._post(
            "exec_dml",
            database_id=database_id,
            dml=dml,
            params=params,
            env=env,
            as_=as_,
            app_id=app_id,
            read_only=read_only,
            dry_run=dry_run,
            explain=explain,
            rows=rows,
        )
        return models.Result.of(told)

    async def stream_rows(
        self,
        database_id: int,
        dml: str,
        *,
        params: Sequence[Any] | None = None,
        env: Environment = "prod",
        as_: Audience | None = None,
        app_id: str | None = None,
        rows: Literal["objects", "arrays"] | None = None,
    ) -> AsyncIterator[Any]:
        """All rows of one SELECT, as many as there are, while they come."""
        fields = {
            "database_id": database_id,
            "dml": dml,
            "params": params,
            "env": env,
            "as_": as_,
            "app_id": app_id,
            "rows": rows,
            "stream": True,
        }
        async with self._transport.stream("exec_dml", **fields, **self._who) as response:
            is_head, last = True, ""
            try:
                async for line in response.aiter_lines():
                    # The first line has the columns, the last one how it ended.
                    if last and not is_head:
                        yield json.loads(last)
                    elif last:
                        is_head = False
                    last = line
            except httpx.TransportError as error:
                raise errors.StreamBroken("the rows ended before their end") from error
            ended = json.loads(last or "{}")
            if isinstance(ended, dict) and "error" in ended:
                raise errors.of(200, {**ended["error"], "error": ended["error"]})
            if not isinstance(ended, dict) or ended.get("complete") is not True:
                raise errors.StreamBroken("the rows ended before their end")

    # Files.

    async def upload_data(
        self,
        database_id: int,
        table: str,
        file: str | Path | bytes | BinaryIO,
        *,
        name: str | None = None,
        format: Literal["csv", "xls", "xlsx", "json", "ndjson", "parquet"] | None = None,
        mode: Literal["insert", "update", "upsert"] | None = None,
        key: Sequence[str] | None = None,
        on_error: Literal["abort", "skip"] | None = None,
        env: Environment = "prod",
        as_: Audience | None = None,
        app_id: str | None = None,
    ) -> models.Uploaded:
        """Put a file's rows into a table, in one transaction.

        Args:
            file: a path, the bytes themselves, or a binary file.
            name: the file's, by whose ending its format is known unless `format` says it.
            key: columns by which rows are found, for update and upsert.
            on_error: `skip` leaves out rows that can't be stored.
        """
        fields = {
            "database_id": str(database_id),
            "table_name": table,
            "format": format,
            "mode": mode,
            "key": list(key) if key else None,
            "on_error": on_error,
            "env": env,
            "as_": as_,
            "app_id": app_id,
            **self._who,
        }
        if isinstance(file, str | Path):
            path = Path(file)
            with path.open("rb") as opened:
                told = await self._transport.upload(
                    "upload_data", fields, name or path.name, opened
                )
        else:
            told = await self._transport.upload("upload_data", fields, name or "rows.csv", file)
        return models.Uploaded.of(told)

    async def export_data(
        self,
        database_id: int,
        table: str | None = None,
        *,
        sql: str | None = None,
        columns: Sequence[str] | None = None,
        format: Format = "csv",
        header: bool | None = None,
        delimiter: Literal[",", ";", "\t", "|"] | None = None,
        null: str | None = None,
        escape_formulas: bool | None = None,
        env: Environment = "prod",
        as_: Audience | None = None,
        app_id: str | None = None,
    ) -> AsyncIterator[bytes]:
        """A table's rows, or those of a SELECT, as a file, while it is made.

        Args:
            table, sql: one of them.
        """
        fields = {
            "database_id": database_id,
            "table_name": table,
            "sql": sql,
            "columns": columns,
            "format": format,
            "header": header,
            "delimiter": delimiter,
            "null": null,
            "escape_formulas": escape_formulas,
            "env": env,
            "as_": as_,
            "app_id": app_id,
        }
        async with self._transport.stream("export_data", **fields, **self._who) as response:
            try:
                async for portion in response.aiter_bytes():
                    yield portion
            except httpx.TransportError as error:
                raise errors.StreamBroken("the file ended before its end") from error

    async def export_to(
        self, path: str | Path, database_id: int, table: str | None = None, **options: Any
    ) -> int:
        """Export into a file, which is there only when it is whole.

        Args:
            options: of `export_data`.

        Returns:
            Its bytes.
        """
        whole, written = Path(path), 0
        part = whole.with_name(f"{whole.name}.part")
        try:
            with part.open("wb") as file:
                async for portion in self.export_data(database_id, table, **options):
                    written += file.write(portion)
            part.replace(whole)
        finally:
            part.unlink(missing_ok=True)
        return written

    # What there is.

    async def get_schema(
        self, database_id: int, *, env: Environment = "prod", tables: Sequence[str] | None = None
    ) -> Mapping[str, Any]:
        """What an environment holds: tables, columns, keys, views, functions, sizes."""
        query = {"env": env, "table": list(tables) if tables else None}
        found: Mapping[str, Any] = await self._transport.get(
            f"databases/{database_id}/schema", **query
        )
        return found

    async def get_schema_text(
        self, database_id: int, *, env: Environment = "prod", tables: Sequence[str] | None = None
    ) -> str:
        """The same as compact text, as for a language model."""
        query = {"env": env, "format": "text", "table": list(tables) if tables else None}
        found = await self._transport.get(f"databases/{database_id}/schema", **query)
        return str(found["text"])

    async def get_ddl(self, database_id: int, *, env: Environment = "prod") -> str:
        """SQL that makes an environment's objects again."""
        found = await self._transport.get(f"databases/{database_id}/ddl", env=env)
        return str(found["ddl"])

    async def get_stats(self, database_id: int, *, env: Environment = "prod") -> Mapping[str, Any]:
        """Rows, sizes, and the slowest calls of SQL."""
        found: Mapping[str, Any] = await self._transport.get(
            f"databases/{database_id}/stats", env=env
        )
        return found

    # Connections.

    async def create_connection(
        self,
        database_id: int,
        *,
        env: Environment = "prod",
        mode: Literal["read_write", "read_only"] = "read_write",
        name: str | None = None,
        connection_limit: int | None = None,
        ttl_seconds: int | None = None,
        expires_at: datetime | None = None,
    ) -> models.Connection:
        """Make a login of one environment, whose URI is shown once."""
        made = await self._post(
            "create_connection",
            database_id=database_id,
            env=env,
            mode=mode,
            name=name,
            connection_limit=connection_limit,
            ttl_seconds=ttl_seconds,
            expires_at=expires_at,
        )
        return models.Connection.of(made)

    async def rotate_connection(self, connection_id: int) -> models.Connection:
        """Give a connection another login and password; the old ones are ended."""
        made = await self._post("rotate_connection", connection_id=connection_id)
        return models.Connection.of(made)

    async def revoke_connection(self, connection_id: int) -> None:
        """End a connection and its sessions."""
        await self._post("revoke_connection", connection_id=connection_id)

    async def list_connections(
        self, database_id: int, *, page_size: int = 100
    ) -> AsyncIterator[models.Connection]:
        """A database's connections, the newest first, those that have ended too."""
        path = f"databases/{database_id}/connections"
        async for found in self._pages(path, "connections", {"limit": page_size}):
            yield models.Connection.of(found)

    # Operations.

    async def list_operations(
        self, *, state: str | None = None, page_size: int = 100
    ) -> AsyncIterator[models.Operation]:
        """The operations that the key's user started, the newest first.

        Args:
            state: None: in any.
        """
        query = {"state": state, "limit": page_size}
        async for found in self._pages("operations", "operations", query):
            yield models.Operation.of(found)

    async def get_operation(self, operation_id: int) -> models.Operation:
        return models.Operation.of(await self._transport.get(f"operations/{operation_id}"))

    async def wait_for_operation(
        self,
        operation_id: int,
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> models.Operation:
        """Wait until an operation has ended, in whatever way.

        Args:
            timeout: seconds; None: for ever.
            progress: called with the operation at each look.

        Raises:
            OperationTimeout
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            operation = await self.get_operation(operation_id)
            if progress is not None:
                progress(operation)
            if operation.has_ended:
                return operation
            if deadline is not None and time.monotonic() >= deadline:
                raise errors.OperationTimeout(
                    f"the operation {operation_id} was not done within {timeout} seconds"
                )
            await async_sleep(LOOK)

    def _given_who(self) -> dict[str, str]:
        return {name: value for name, value in self._who.items() if value is not None}

    async def _post(self, path: str, /, **fields: Any) -> Any:
        return await self._transport.post(path, **fields, **self._who)

    async def _pages(
        self, path: str, name: str, query: Mapping[str, Any]
    ) -> AsyncIterator[Mapping[str, Any]]:
        cursor = None
        while True:
            page = await self._transport.get(path, **{**query, "cursor": cursor})
            for each in page[name]:
                yield each
            cursor = page.get("next_cursor")
            if cursor is None:
                return
