"""Any uid that may be given gets schemas and roles of its own, and nothing else is touched."""

from typing import Any, NamedTuple

import pytest

from core.postgres.identifiers import SchemaName
from tests.api import Api

UIDS = [
    "test",
    "prod",
    "prod_test_1",
    "test_alice",
    "alice-test",
    "Alice",
    "ALICE",
    "a-b.c",
    "a.b",
    "--",
    "a--",
    ";",
    "; DROP SCHEMA pgtwin CASCADE; --",
    'x"; DROP SCHEMA pgtwin CASCADE; --',
    "x'; DROP ROLE pgtwin_control; --",
    "' OR '1'='1",
    '"',
    '""',
    '"quoted"',
    "'",
    "''",
    "o'brien",
    "\\",
    "\\'",
    "a\\nb",
    "E'\\x27'",
    "$",
    "$$",
    "$1",
    "$body$",
    ":",
    ":uid",
    "app:alice",
    "{}",
    "{0}",
    "{uid}",
    "s{s}d",
    "_",
    "a_b",
    "__",
    " ",
    "a b",
    " a",
    "a ",
    "🦊",
    "🦊" * 64,
    "é",
    "e\u0301",
    "ß",
    "İ",
    "\u0131",
    "にほんご",
    "\u202egnp.exe",
    "\u200b",
    "\ufeff",
    "pg_catalog",
    "public",
    "information_schema",
    "pgtwin",
    "null",
    "NULL",
    "0",
    "-1",
    "../../etc/passwd",
    "<script>",
    "u" * 64,
    "u" * 63 + "v",
    "U" * 64,
    '"' * 64,
    "'" * 64,
    "\\" * 64,
    "é" * 64,
]


class Catalog(NamedTuple):
    """All schemas with their owners, and the roles that are this database's or the service's."""

    schemas: frozenset[tuple[str, str]]
    roles: frozenset[tuple[Any, ...]]


async def catalog(connection: Any) -> Catalog:
    # Other control databases of the server come and go, and their roles with them; and so does
    # what other tests left to the reaper.
    schemas = await connection.fetch(
        "SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace"
        " WHERE nspname !~ '^pg_(toast_)?temp_' AND NOT EXISTS (SELECT FROM pgtwin.schema_meta s"
        " JOIN pgtwin.database_meta d ON d.id = s.database_id WHERE s.schema_name = nspname"
        " AND (d.expires_at IS NOT NULL OR d.deleted_at IS NOT NULL))"
    )
    roles = await connection.fetch(
        "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolinherit"
        " FROM pg_roles WHERE starts_with(rolname, 'pg')"
        " OR substring(rolname FROM '^d([0-9]{1,19})_')::numeric IN (SELECT d.id FROM"
        " pgtwin.database_meta d WHERE d.expires_at IS NULL AND d.deleted_at IS NULL)"
    )
    return Catalog(
        frozenset((row[0], row[1]) for row in schemas), frozenset(tuple(row) for row in roles)
    )


async def schema_rows(connection: Any, database_id: int) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT env, schema_name FROM pgtwin.schema_meta WHERE database_id = $1", database_id
    )
    return {row["env"]: row["schema_name"] for row in rows}


@pytest.mark.parametrize("owner", UIDS, ids=ascii)
async def test_a_uid_gets_its_own_schemas_and_drop_takes_exactly_them(
    admin: Api, admin_connection: Any, owner: str
) -> None:
    before = await catalog(admin_connection)
    database_id = await admin.create("orders", uid=owner)
    names = await schema_rows(admin_connection, database_id)
    assert set(names) == {"prod", "test"}
    for environment, name in names.items():
        assert name.startswith(f"{environment}_")
        assert name.endswith(f"_{database_id}")
        assert len(name.encode()) <= 63
    made = await catalog(admin_connection)
    assert made.schemas - before.schemas == {(name, "pgtwin_control") for name in names.values()}
    assert before.schemas <= made.schemas
    stem = f"d{database_id}"
    assert {role[0] for role in made.roles - before.roles} == {
        f"{stem}_{suffix}" for suffix in ("prod", "test", "prod_app", "test_app", "ddl")
    }
    assert before.roles <= made.roles
    dropped = await admin.post("drop_database", database_id=database_id, uid=owner)
    assert dropped.code == 0, dropped.body
    assert await catalog(admin_connection) == before


async def test_what_a_short_uid_is_called_can_be_read(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    owner = f"{uid}.A-b"
    database_id = await admin.create("orders", uid=owner)
    assert await schema_rows(admin_connection, database_id) == {
        environment: f"{environment}_{owner}_{database_id}" for environment in ("prod", "test")
    }


async def test_uids_that_begin_alike_share_nothing(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    stem = uid.ljust(63, "x")
    kept, dropped = f"{stem}1", f"{stem}2"
    ids = {owner: await admin.create("orders", uid=owner) for owner in (kept, dropped)}
    names = {owner: await schema_rows(admin_connection, id_) for owner, id_ in ids.items()}
    assert not set(names[kept].values()) & set(names[dropped].values())
    for name in names[kept].values():
        await admin_connection.execute(
            f"CREATE TABLE {SchemaName(name)}.t AS SELECT 'kept' AS owner"
        )
    # Neither sees the other's, and one's end leaves the other's data where it is.
    refused = await admin.post("drop_database", database_id=ids[kept], uid=dropped)
    assert refused.code == 25013
    assert (await admin.post("drop_database", database_id=ids[dropped], uid=dropped)).code == 0
    for name in names[kept].values():
        found = await admin_connection.fetchval(f"SELECT owner FROM {SchemaName(name)}.t")
        assert found == "kept"


async def test_the_environment_is_not_read_from_the_name(
    admin: Api, admin_connection: Any, uid: str
) -> None:
    """A uid with another environment's name in it swaps nothing."""
    for owner in (f"test_{uid}", f"prod_{uid}", f"{uid}_test_prod"):
        database_id = await admin.create("orders", uid=owner)
        names = await schema_rows(admin_connection, database_id)
        await admin_connection.execute(f"CREATE TABLE {SchemaName(names['prod'])}.t (id int)")
        detail = (await admin.get(f"databases/{database_id}")).data
        assert {s["env"]: (s["schema_name"], s["tables"]) for s in detail["schemas"]} == {
            "prod": (names["prod"], 1),
            "test": (names["test"], 0),
        }


async def test_each_schema_is_open_to_its_own_roles_alone(
    admin: Api, admin_connection: Any
) -> None:
    owner = 'x"; GRANT ALL ON SCHEMA pgtwin TO PUBLIC; --'
    mine = await admin.create("orders", uid=owner)
    other = await admin.create("orders", uid=f"{owner}2")
    for environment, name in (await schema_rows(admin_connection, mine)).items():
        granted = await admin_connection.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname ~ $1"
            " AND has_schema_privilege(rolname, $2, 'USAGE')",
            f"^(d({mine}|{other})_.*|pgtwin_owner)$",
            name,
        )
        stem = f"d{mine}_{environment}"
        assert {row[0] for row in granted} == {stem, f"{stem}_app"}
