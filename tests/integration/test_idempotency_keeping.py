"""What an Idempotency-Key costs, and how long its answer is kept."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core.postgres.engine import Session
from core.postgres.locks import Lock
from core.telemetry import current_request
from memory.idempotency.tasks import remove_expired
from memory.services import Services
from tests.api import Api
from tests.integration.test_idempotency import assert_again, key, keyed

__all__ = ["key"]


@contextmanager
def statements(*, of_requests: bool = False) -> Iterator[list[str]]:
    """What the service sends meanwhile.

    Args:
        of_requests: not what it does by itself now and then.
    """
    sent: list[str] = []

    def noting(method: Any) -> Any:
        async def noted(session: Session, statement: str, *arguments: Any) -> Any:
            if current_request() is not None or not of_requests:
                sent.append(statement)
            return await method(session, statement, *arguments)

        return noted

    with pytest.MonkeyPatch.context() as patch:
        for name in ("fetch", "fetchrow", "fetchval", "execute"):
            patch.setattr(Session, name, noting(getattr(Session, name)))
        yield sent


async def test_a_key_costs_two_statements_and_no_key_none(
    services: Services, admin: Api, uid: str, key: str
) -> None:
    database_id = await admin.create("orders", uid=uid)
    fields = {"database_id": database_id, "uid": uid, "description": "one"}
    with statements(of_requests=True) as without:
        await admin.post("modify_db_description", fields)
    fields["description"] = "two"
    with statements(of_requests=True) as first:
        await keyed(admin, key, "modify_db_description", **fields)
    with statements(of_requests=True) as again:
        await keyed(admin, key, "modify_db_description", **fields)
    assert not any("idempotency" in each for each in without)
    assert len(first) == len(without) + 2
    # The caller's key is looked up, and the answer.
    assert len(again) == 2
    assert "api_key" in again[0]


async def test_an_answer_that_has_expired_is_not_given_again(
    admin: Api, admin_connection: Any, uid: str, key: str
) -> None:
    fields = {"database_name": "orders", "uid": uid}
    first = await keyed(admin, key, "create_database", **fields)
    kept = "SELECT expires_at - create_at FROM pgtwin.idempotency WHERE key = $1"
    assert (await admin_connection.fetchval(kept, key)).total_seconds() == 24 * 3600
    expire = "UPDATE pgtwin.idempotency SET expires_at = now() WHERE key = $1"
    await admin_connection.execute(expire, key)
    anew = await keyed(admin, key, "create_database", **fields)
    assert (anew.code, anew.error["type"]) == (25010, "name_taken")
    # A used key may be used for something else after that.
    fields["database_name"] = "other"
    other = await keyed(admin, key, "create_database", **fields)
    assert_again(other, await keyed(admin, key, "create_database", **fields))
    assert other.data["database_id"] != first.data["database_id"]


@pytest.fixture
async def many_answers(admin_connection: Any) -> AsyncIterator[str]:
    """5,000 answers of one caller, half of them expired; gives the caller."""
    caller = f"test:{secrets.token_hex(8)}"
    await admin_connection.execute(
        "INSERT INTO pgtwin.idempotency (caller, key, digest, status, body, expires_at)"
        f" SELECT '{caller}', 'k' || i, '', 200, '{{}}', now() + (i % 2 * 2 - 1) * interval '1 h'"
        " FROM generate_series(1, 5000) i; ANALYZE pgtwin.idempotency"
    )
    yield caller
    await admin_connection.execute("DELETE FROM pgtwin.idempotency WHERE caller = $1", caller)


async def test_what_has_expired_is_removed_in_batches_by_one_worker(
    services: Services, admin_connection: Any, many_answers: str
) -> None:
    left = "SELECT count(*), count(*) FILTER (WHERE expires_at <= now()) FROM pgtwin.idempotency"
    left += " WHERE caller = $1"
    async with admin_connection.transaction():
        await admin_connection.execute(
            "SELECT pg_advisory_xact_lock($1, 0)", int(Lock.IDEMPOTENCY_CLEANUP)
        )
        assert await remove_expired(services.database, 1000) == 0
    assert tuple(await admin_connection.fetchrow(left, many_answers)) == (5000, 2500)
    with statements() as sent:
        assert await remove_expired(services.database, 1000) >= 2500
    assert len([each for each in sent if each.startswith("DELETE")]) == 3
    assert tuple(await admin_connection.fetchrow(left, many_answers)) == (2500, 0)


async def test_looking_up_and_removing_use_indexes(
    services: Services, admin_connection: Any, many_answers: str
) -> None:
    async def plan(query: str) -> str:
        return "\n".join(row[0] for row in await admin_connection.fetch(f"EXPLAIN {query}"))

    found = await plan(
        f"SELECT * FROM pgtwin.idempotency WHERE caller = '{many_answers}'::text AND key = 'k7'"
    )
    assert "pk_idempotency" in found
    await admin_connection.execute(
        "DELETE FROM pgtwin.idempotency WHERE caller = $1 AND expires_at <= now()"
        " AND key <> 'k2'; ".replace("$1", f"'{many_answers}'")
        + "ANALYZE pgtwin.idempotency"
    )
    expired = await plan(
        "DELETE FROM pgtwin.idempotency WHERE (caller, key) IN (SELECT caller, key"
        " FROM pgtwin.idempotency WHERE expires_at <= now() ORDER BY expires_at LIMIT 1000"
        " FOR UPDATE SKIP LOCKED)"
    )
    assert "ix_idempotency_expires_at" in expired
    assert "pk_idempotency" in expired
    assert "Seq Scan" not in expired
