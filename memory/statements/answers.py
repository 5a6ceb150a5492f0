"""What statements gave, as the envelope's data."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from core.postgres.values import Column
from memory.statements.executor import Result, Run
from memory.statements.schemas import RowForm


def data_of(run: Run, form: RowForm, *, is_drop_in: bool) -> dict[str, Any]:
    """The data of exec_dml's answer, for orjson."""
    rows: list[Any] = []
    statements: list[dict[str, Any]] = []
    for result in run.results:
        if not is_drop_in:
            statements.append(_detail(result, len(rows)))
        rows.extend(result.rows if form is RowForm.ARRAYS else objects(result))
    answered: dict[str, Any] = {
        "exec_success": rows,
        "exec_failure": [],
        "exec_time": round(run.seconds, 6),
    }
    return answered if is_drop_in else answered | {"statements": statements}


def objects(result: Result) -> list[dict[str, Any]]:
    names = keys(result.columns)
    return [dict(zip(names, row, strict=True)) for row in result.rows]


def keys(columns: Iterable[Column]) -> list[str]:
    """The columns' names as an object's keys; a name that comes again gets a number."""
    found: dict[str, None] = {}
    for column in columns:
        key, number = column.name, 2
        while key in found:
            key, number = f"{column.name}_{number}", number + 1
        found[key] = None
    return list(found)


def described(columns: Sequence[Column]) -> list[dict[str, str]]:
    return [{"name": column.name, "type": column.type_name} for column in columns]


def line(value: Any) -> bytes:
    """A line of NDJSON."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _detail(result: Result, first_row: int) -> dict[str, Any]:
    return {
        "statement": result.statement.number,
        "item": result.item,
        "command": result.statement.kind.name.replace("_", " "),
        "affected": result.affected,
        "columns": described(result.columns),
        "first_row": first_row,
        "row_count": len(result.rows),
        "truncated": result.truncated,
    }
