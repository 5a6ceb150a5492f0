"""Catalog rows put together: what belongs to a table goes to the table."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson

from core.postgres.identifiers import Environment
from memory.inspection.schemas import SchemaContents

Parts = dict[str, dict[str, list[Any]]]
_LISTS = {
    "sequence": "sequences",
    "enum": "enums",
    "domain": "domains",
    "composite": "composites",
    "range": "ranges",
    "function": "functions",
}
_OF_RELATIONS = {
    "column": "columns",
    "index": "indexes",
    "trigger": "triggers",
    "policy": "policies",
}
_OF_CONSTRAINTS = {
    "unique": "unique",
    "foreign key": "foreign_keys",
    "check": "checks",
    "exclusion": "exclusions",
}
_VIEWS = ("view", "materialized view")


def contents_of(env: Environment, rows: Sequence[Any]) -> SchemaContents:
    """
    Args:
        rows: what it is, the relation that it belongs to, its place there, its name, the rest.
    """
    relations: dict[str, dict[str, Any]] = {}
    parts: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    lists: dict[str, list[Any]] = defaultdict(list)
    for what, relation, _place, name, info in rows:
        fields = orjson.loads(info)
        if what == "relation":
            relations[name] = fields
        elif what == "constraint":
            if fields["kind"] == "primary key":
                parts[relation]["primary_key"] = fields
            else:
                parts[relation][_OF_CONSTRAINTS[fields["kind"]]].append(fields)
        elif what in _OF_RELATIONS:
            parts[relation][_OF_RELATIONS[what]].append(fields)
        else:
            lists[_LISTS[what]].append(fields)
    for name, fields in relations.items():
        kind = "views" if fields["kind"] in _VIEWS else "tables"
        lists[kind].append(fields | parts[name])
    return SchemaContents.model_validate({"env": env, **lists})
