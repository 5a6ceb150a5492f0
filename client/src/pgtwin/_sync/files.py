from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import httpx

from pgtwin import _wire, errors, models
from pgtwin._sync.calls import Audience, Calls, Environment

Format: TypeAlias = Literal["csv", "json", "ndjson", "parquet"]


class FileCalls(Calls):
    """Files of rows, in and out."""

    def upload_data(
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
                told = self._transport.upload("upload_data", fields, name or path.name, opened)
        else:
            told = self._transport.upload("upload_data", fields, name or "rows.csv", file)
        return models.Uploaded.of(told)

    def export_data(
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
    ) -> Iterator[bytes]:
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
        with self._transport.stream("export_data", **fields, **self._who) as response:
            try:
                for portion in response.iter_bytes():
                    yield portion
            except httpx.TransportError as error:
                raise errors.StreamBroken("the file ended before its end") from error

    def export_to(
        self, path: str | Path, database_id: int, table: str | None = None, **options: Any
    ) -> int:
        """Export into a file, which is there only when it is whole.

        A pipe or a device gets what comes as it comes.

        Args:
            options: of `export_data`.

        Returns:
            Its bytes.
        """
        written = 0
        whole, part = _wire.target(path)
        try:
            with part.open("wb") as file:
                for portion in self.export_data(database_id, table, **options):
                    written += file.write(portion)
            if part != whole:
                part.replace(whole)
        finally:
            if part != whole:
                part.unlink(missing_ok=True)
        return written
