"""Put the last `make bench`'s figures into the README's table."""

import json
from pathlib import Path
from typing import Any

from benchmarks import api, sql

README = Path(__file__).parents[1] / "README.md"
START, END = "<!-- figures -->", "<!-- end of figures -->"
BASES = {"get": "minimal", "list": "minimal"}
CALLS = ("create", "get", "list", "describe", "drop", "purge")
# A bare drop is for good, as a purge is.
LIMITS = {"purge": "drop"}
SQL = {
    "select": "SELECT of a row by its key",
    "literal": "the same, other SQL each time",
    "insert": "INSERT of a row",
    "rows": "SELECT of 100 rows of 5 columns",
    "ddl": "CREATE TABLE and DROP TABLE, in both environments",
}


def table(result: dict[str, Any], sql_result: dict[str, Any]) -> str:
    """The figures as Markdown: calls a second at 8 clients, beside what the machine can do."""
    lines = ["| Call | A second | Limit of the same run | Ratio |", "| --- | --- | --- | --- |"]
    rates = _rates(result)
    lines += [_line(rates, call, call, BASES.get(call, "bare")) for call in CALLS]
    rates = _rates(sql_result)
    lines += [_line(rates, call, name, sql.TARGETS[call][0]) for call, name in SQL.items()]
    return "\n".join(
        [*lines, "", *_growth(result), *_sql_growth(sql_result), *_sql(sql_result), _memory(result)]
    )


def _rates(result: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {
        (row["runner"], row["call"]): row["per_second"]
        for row in sorted(result["figures"], key=lambda row: float(row["per_second"]))
        if row["clients"] == 8
    }


def _line(rates: dict[tuple[str, str], float], call: str, name: str, runner: str) -> str:
    limit = rates.get((runner, LIMITS.get(call, call)))
    ours = rates["service", call]
    shown = f"{limit:.0f} ({runner}) | {ours / limit:.2f}" if limit else "- | -"
    return f"| {name} | {ours:.0f} | {shown} |"


def _sql_growth(result: dict[str, Any]) -> list[str]:
    grown: dict[str, dict[str, float]] = result.get("growth_ms", {})
    if len(grown) < 2:
        return []
    first, last = min(grown, key=int), max(grown, key=int)
    costs = ", ".join(
        f"{call.upper()} {cost / grown[first][call]:.2f}" for call, cost in grown[last].items()
    )
    return [f"The same of SQL in one of {int(last):,} databases: {costs}."]


def _sql(result: dict[str, Any]) -> list[str]:
    cold, beside = result["miss_ms"], result["beside"]
    return [
        f"SQL in a database that was not used lately takes {cold['miss']:.1f} ms, a login of"
        f" {cold['login']:.1f} ms included, then {cold['hit']:.1f} ms.",
        "The 99th percentile of other callers' SELECTs is"
        f" {beside['large inserts']['p99_ms']:.0f} ms while one client inserts 3,000 rows a call,"
        f" {beside['runaways']['p99_ms']:.0f} ms while one runs into the time limit, and"
        f" {beside['nothing']['p99_ms']:.0f} ms otherwise.",
    ]


def _growth(result: dict[str, Any]) -> list[str]:
    grown: dict[str, dict[str, float]] = result["growth_ms"]
    if len(grown) < 2:
        return []
    first, last = min(grown, key=int), max(grown, key=int)
    costs = ", ".join(f"{call} {grown[last][call] / grown[first][call]:.2f}" for call in CALLS)
    return [
        f"Cost with {int(last):,} databases there already, of that with {int(first):,}: {costs}."
    ]


def _memory(result: dict[str, Any]) -> str:
    memory = result["worker_mb"]
    return f"A worker takes {memory['idle']:.0f} MB, after the run {memory['after']:.0f} MB."


def main() -> None:
    text = README.read_text()
    before, rest = text.split(START)
    result, sql_result = (json.loads(each.RESULTS.read_text()) for each in (api, sql))
    after = rest.split(END)[1]
    README.write_text(f"{before}{START}\n{table(result, sql_result)}\n{END}{after}")


if __name__ == "__main__":
    main()
