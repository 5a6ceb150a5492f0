"""What names of functions, types, schemas and relations SQL of callers may have."""

from functools import cache
from importlib.resources import files

EXTENSIONS, CATALOG = "pgtwin_ext", "pg_catalog"
# Names of ours begin so, and PostgreSQL's own.
RESERVED, SYSTEM = "pgtwin_", "pg_"

# Types of the catalog that name objects of the server, stand for none, or are the server's own.
# `regconfig` is not among them: it names a language of text search, and ORMs write it.
REFUSED_TYPES = frozenset(
    """
    aclitem any anyarray anycompatible anycompatiblearray anycompatiblemultirange
    anycompatiblenonarray anycompatiblerange anyelement anyenum anymultirange anynonarray
    anyrange cid cstring event_trigger fdw_handler gtsvector index_am_handler internal
    language_handler refcursor table_am_handler tsm_handler txid_snapshot regclass regcollation
    regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype
    """.split()  # noqa: SIM905  read more easily
)
SYSTEM_TYPES_ADMITTED = frozenset({"pg_lsn"})


@cache
def _names(file: str) -> frozenset[str]:
    lines = files("core.sqlguard").joinpath(file).read_text().splitlines()
    return frozenset(name for line in lines if not line.startswith("#") for name in line.split())


def is_function_admitted(name: str, schema: str | None) -> bool:
    """Whether SQL may name a function.

    One that the catalog has must be on the list. Another is one of the database's own, which
    does no more than whoever calls it may, or one of an extension.

    Args:
        schema: None or the catalog's.
    """
    if name in _names("allowed_functions.txt"):
        return True
    return schema is None and name not in _names("catalog_functions.txt") and not is_system(name)


def is_type_admitted(name: str) -> bool:
    plain = name.removeprefix("_")
    if plain.startswith(SYSTEM):
        return plain in SYSTEM_TYPES_ADMITTED
    return plain not in REFUSED_TYPES and not plain.startswith(RESERVED)


def is_catalog_function(name: str) -> bool:
    return name in _names("catalog_functions.txt")


def is_system(name: str) -> bool:
    return name.startswith((SYSTEM, RESERVED))
