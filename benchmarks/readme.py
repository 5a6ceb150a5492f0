"""Put the last `make bench`'s figures into the README's table."""

import json
from pathlib import Path
from typing import Any

from benchmarks.api import RESULTS

README = Path(__file__).parents[1] / "README.md"
START, END = "<!-- figures -->", "<!-- end of figures -->"
BASES = {"get": "minimal", "list": "minimal"}
CALLS = ("create", "get", "list", "describe", "drop")


def table(result: dict[str, Any]) -> str:
    """The figures as Markdown: calls a second at 8 clients, beside what the machine can do."""
    rates = {
        (row["runner"], row["call"]): row["per_second"]
        for row in sorted(result["figures"], key=lambda row: float(row["per_second"]))
        if row["clients"] == 8
    }
    lines = ["| Call | A second | Limit of the same run | Ratio |", "| --- | --- | --- | --- |"]
    for call in CALLS:
        runner = BASES.get(call, "bare")
        limit = rates.get((runner, call))
        ours = rates["service", call]
        shown = f"{limit:.0f} ({runner}) | {ours / limit:.2f}" if limit else "- | -"
        lines.append(f"| {call} | {ours:.0f} | {shown} |")
    return "\n".join([*lines, "", *_growth(result), _memory(result)])


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
    result = json.loads(RESULTS.read_text())
    after = rest.split(END)[1]
    README.write_text(f"{before}{START}\n{table(result)}\n{END}{after}")


if __name__ == "__main__":
    main()
