"""What statements gave, as the envelope's data, or as lines."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from core.postgres.outcomes import Outcome
from core.postgres.values import Column
from memory.statements.run import Result, Run
from memory.statements.schemas import RowForm


def data_of(run: Run, form: RowForm, *, is_drop_in: bool) -> dict[str, Any]:
    """The data of exec_dml's answer."""
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


def row_shape(form: RowForm) -> Callable[[Outcome], Callable[[list[Any]], Any]]:
    """What makes a line of a stream of a row."""

    def shape(outcome: Outcome) -> Callable[[list[Any]], Any]:
        if form is RowForm.ARRAYS:
            return lambda row: row
        names = keys(outcome.columns)
        return lambda row: dict(zip(names, row, strict=True))

    return shape


def stream_head(outcome: Outcome) -> dict[str, Any]:
    """The first line of a stream."""
    return {"columns": described(outcome.columns)}


def described(columns: Sequence[Column]) -> list[dict[str, str]]:
    return [{"name": column.name, "type": column.type_name} for column in columns]


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
