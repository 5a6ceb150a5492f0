"""What belongs to a schema's meaning, but to no schema's dump: casts, a role's defaults."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.postgres.identifiers import RoleName, literal

_OBJECTS = {
    "r": "TABLES",
    "S": "SEQUENCES",
    "f": "FUNCTIONS",
    "T": "TYPES",
    "n": "SCHEMAS",
    "L": "LARGE OBJECTS",
}
_CONTEXTS = {"e": "", "a": " AS ASSIGNMENT", "i": " AS IMPLICIT"}


def cast_statements(casts: Sequence[Mapping[str, Any]]) -> list[str]:
    """CREATE CAST with its comment, in the names that the catalog query printed."""
    statements = []
    for cast in casts:
        pair = f"({cast['source']} AS {cast['target']})"
        way = {
            "f": f"WITH FUNCTION {cast['function']}",
            "i": "WITH INOUT",
            "b": "WITHOUT FUNCTION",
        }[cast["method"]]
        statement = f"CREATE CAST {pair} {way}{_CONTEXTS[cast['context']]}"
        if cast["comment"] is not None:
            statement += f";COMMENT ON CAST {pair} IS {literal(cast['comment'])}"
        statements.append(statement)
    return statements


def default_privilege_statements(
    grants: Sequence[Mapping[str, Any]], owner: RoleName, roles: Mapping[str, str]
) -> list[str]:
    """ALTER DEFAULT PRIVILEGES of a role without a schema, whole: what it lacks is revoked.

    Args:
        grants: rows of the catalog query; a kind of object without a row is as PostgreSQL has it.
        roles: the source's roles to the copy's.
    """
    statements = []
    for kind in dict.fromkeys(grant["object_type"] for grant in grants):
        objects = _OBJECTS[kind]
        statements += [
            f"ALTER DEFAULT PRIVILEGES REVOKE ALL ON {objects} FROM PUBLIC",
            f"ALTER DEFAULT PRIVILEGES REVOKE ALL ON {objects} FROM {owner}",
        ]
        statements += [
            _grant(grant, objects, roles) for grant in grants if grant["object_type"] == kind
        ]
    return statements


def _grant(grant: Mapping[str, Any], objects: str, roles: Mapping[str, str]) -> str:
    name = grant["grantee"]
    grantee = "PUBLIC" if name is None else str(RoleName(roles.get(name, name)))
    option = " WITH GRANT OPTION" if grant["is_grantable"] else ""
    return (
        f"ALTER DEFAULT PRIVILEGES GRANT {grant['privilege_type']} ON {objects} "
        f"TO {grantee}{option}"
    )
