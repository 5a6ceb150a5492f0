"""The drop-in mount is a gateway's: it vouches from where it is known or by what it signs."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from core.settings import AuthMode, Settings, SettingsError
from memory.api.gateway import sign
from tests.api import Answer, Api, answer
from tests.conftest import MakeKey, http_client, running

SECRET = "a-gateway's-secret-of-the-tests-and-nothing-else"
PATH = "/xingchen-db/v1/create_database"


@asynccontextmanager
async def behind_gateway(settings: Settings, **guard: Any) -> AsyncIterator[FastAPI]:
    update = {"auth_mode": AuthMode.GATEWAY, **guard}
    async with running(settings.model_copy(update=update)) as app:
        yield app


async def create_from(app: FastAPI, peer: tuple[str, int], **options: Any) -> Answer:
    """A create that the sender's address alone decides about."""
    transport = httpx.ASGITransport(app=app, client=peer)
    async with httpx.AsyncClient(transport=transport, base_url="http://pgtwin.test") as client:
        return answer(await client.post(PATH, **options))


async def test_in_key_mode_the_mount_is_closed(app: FastAPI, make_key: MakeKey, uid: str) -> None:
    body = {"database_name": "orders", "uid": uid}
    for headers in ({}, {"Authorization": f"Bearer {await make_key()}"}):
        async with http_client(app, **headers, **{"X-Consumer-Username": "app1"}) as client:
            closed = answer(await client.post(PATH, json=body))
        assert (closed.status, closed.code) == (200, 25020)
        assert set(closed.body) == {"code", "message", "sid"}


async def test_in_gateway_mode_v1_still_wants_a_key(drop_in: Api, uid: str) -> None:
    body = {"database_name": "orders", "uid": uid}
    found = answer(await drop_in.client.post("/v1/create_database", json=body))
    assert (found.status, found.code) == (401, 25020)


# By its signature.


@pytest.fixture(scope="module")
async def signed(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        behind_gateway(settings, gateway_secret=SecretStr(SECRET)) as app,
        http_client(app, **{"Content-Type": "application/json"}) as client,
    ):
        yield client


def request(uid: str, **changed: Any) -> dict[str, Any]:
    """A signed create; what is given differs between what was signed and what is sent."""
    body = f'{{"database_name": "orders", "uid": "{uid}"}}'.encode()
    what = {
        "secret": SECRET,
        "sent_at": str(int(time.time()) + changed.pop("age", 0)),
        "method": "POST",
        "path": PATH,
        "app_id": "app1",
        "body": body,
    }
    signature = f"t={what['sent_at']},v1={sign(**{**what, **changed})}"
    headers = {"X-Consumer-Username": "app1", "X-Gateway-Signature": signature}
    return {"content": body, "headers": headers}


def assert_closed(found: Answer) -> None:
    assert (found.status, found.code) == (200, 25020), found.body
    assert "X-Gateway-Signature" in found.message


@pytest.mark.parametrize("age", [0, -290, 290])
async def test_a_fresh_signature_opens_the_mount(
    signed: httpx.AsyncClient, uid: str, age: int
) -> None:
    opened = answer(await signed.post(PATH, **request(uid, age=age)))
    assert opened.code == 0, opened.body


@pytest.mark.parametrize("app_id", ["", "应用"])
async def test_the_signature_covers_any_application_or_none(
    signed: httpx.AsyncClient, uid: str, app_id: str
) -> None:
    sent = request(uid, app_id=app_id)
    sent["headers"]["X-Consumer-Username"] = app_id.encode()
    opened = answer(await signed.post(PATH, **sent))
    assert opened.code == 0, opened.body


@pytest.mark.parametrize(
    "changed",
    [
        {"age": -310},
        {"age": 310},
        {"secret": SECRET.upper()},
        {"secret": ""},
        {"sent_at": "0"},
        {"method": "GET"},
        {"path": "/xingchen-db/v1/drop_database"},
        {"path": "/v1/create_database"},
        {"app_id": "app2"},
        {"app_id": ""},
        {"body": b"{}"},
        {"body": b""},
    ],
    ids=str,
)
async def test_another_signature_does_not(
    signed: httpx.AsyncClient, uid: str, changed: dict[str, Any]
) -> None:
    assert_closed(answer(await signed.post(PATH, **request(uid, **changed))))


@pytest.mark.parametrize(
    "spelled",
    [None, "", ",", "=", "t=", "v1=", "{good}x", "v1={v1}", "t={t}", "t={t},v1=", "t=now,v1={v1}",
     "t=-{t},v1={v1}", "t={t}.0,v1={v1}", "t={t},v1={v1},v1=", "t={t},v2={v1}", "{v1}",
     "t=" + "9" * 5000 + ",v1={v1}", "t=\xb2,v1={v1}", "t={t},v1=\xff", "t={t};v1={v1}"],
    ids=ascii,
)  # fmt: skip
async def test_a_malformed_signature_does_not(
    signed: httpx.AsyncClient, uid: str, spelled: str | None
) -> None:
    sent = request(uid)
    good = sent["headers"].pop("X-Gateway-Signature")
    parts = dict(part.split("=") for part in good.split(","))
    if spelled is not None:
        header = spelled.format(good=good, **parts)
        sent["headers"] = [
            *sent["headers"].items(),
            (b"X-Gateway-Signature", header.encode("latin-1")),
        ]
    assert_closed(answer(await signed.post(PATH, **sent)))


async def test_a_signature_does_not_open_v1(signed: httpx.AsyncClient, uid: str) -> None:
    sent = request(uid, path="/v1/create_database")
    assert answer(await signed.post("/v1/create_database", **sent)).status == 401


# By its address.

GATEWAYS = [ip_network("10.1.0.0/16"), ip_network("192.0.2.7/32"), ip_network("2001:db8::/32")]


@pytest.fixture(scope="module")
async def listed(settings: Settings) -> AsyncIterator[FastAPI]:
    async with behind_gateway(settings, gateway_allow=GATEWAYS) as app:
        yield app


@pytest.mark.parametrize("host", ["10.1.2.3", "192.0.2.7", "2001:db8::7"])
async def test_a_listed_address_opens_the_mount(listed: FastAPI, uid: str, host: str) -> None:
    body = {"database_name": "orders", "uid": uid}
    assert (await create_from(listed, (host, 40000), json=body)).code == 0


@pytest.mark.parametrize(
    "host",
    ["10.2.0.1", "192.0.2.8", "2001:db9::1", "127.0.0.1", "::1", "localhost", "", "10.1.2.3.evil",
     "/run/pgtwin.sock"],
)  # fmt: skip
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Forwarded-For": "10.1.2.3", "Forwarded": "for=10.1.2.3", "X-Real-IP": "10.1.2.3"}],
)
async def test_another_address_does_not_whatever_it_claims(
    listed: FastAPI, uid: str, host: str, headers: dict[str, str]
) -> None:
    body = {"database_name": "orders", "uid": uid}
    refused = await create_from(listed, (host, 40000), json=body, headers=headers)
    assert (refused.status, refused.code) == (200, 25020), refused.body


@pytest.mark.parametrize(
    ("host", "code"),
    [("127.0.0.1", 0), ("127.8.8.8", 0), ("::1", 0), ("10.1.2.3", 25020), ("2001:db8::1", 25020),
     ("192.0.2.7", 25020), ("", 25020)],
)  # fmt: skip
async def test_without_a_guard_only_this_machine_opens_the_mount(
    settings: Settings, uid: str, host: str, code: int
) -> None:
    body = {"database_name": "orders", "uid": uid}
    async with behind_gateway(settings) as app:
        assert (await create_from(app, (host, 40000), json=body)).code == code


@pytest.mark.parametrize(
    ("host", "secret", "code"),
    [("10.1.2.3", SECRET, 0), ("10.2.0.1", SECRET, 25020), ("10.1.2.3", "another", 25020)],
)
async def test_with_both_guards_both_must_agree(
    settings: Settings, uid: str, host: str, secret: str, code: int
) -> None:
    guards = {"gateway_allow": GATEWAYS, "gateway_secret": SecretStr(SECRET)}
    sent = request(uid, secret=secret)
    sent["headers"]["Content-Type"] = "application/json"
    async with behind_gateway(settings, **guards) as app:
        assert (await create_from(app, (host, 40000), **sent)).code == code


# The settings.


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "db.example.org", ""])  # noqa: S104
@pytest.mark.parametrize("guard", [{}, {"gateway_allow": ""}, {"gateway_allow": ","}])
def test_gateway_mode_refuses_a_public_address_without_a_guard(
    host: str, guard: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match="PGTWIN_GATEWAY_ALLOW or PGTWIN_GATEWAY_SECRET"):
        Settings.load(auth_mode="gateway", host=host, **guard)


@pytest.mark.parametrize(
    ("host", "guard"),
    [
        ("127.0.0.1", {}),
        ("::1", {}),
        ("localhost", {}),
        ("0.0.0.0", {"gateway_allow": "10.1.0.0/16, 192.0.2.7"}),  # noqa: S104
        ("0.0.0.0", {"gateway_secret": SECRET}),  # noqa: S104
    ],
)
def test_gateway_mode_takes_a_guarded_address(host: str, guard: dict[str, str]) -> None:
    settings = Settings.load(auth_mode="gateway", host=host, **guard)
    assert settings.auth_mode is AuthMode.GATEWAY


@pytest.mark.parametrize(
    ("guard", "variable"),
    [
        ({"gateway_allow": "10.1.0.0/33"}, "PGTWIN_GATEWAY_ALLOW"),
        ({"gateway_allow": "gateway.example.org"}, "PGTWIN_GATEWAY_ALLOW"),
        ({"gateway_allow": " "}, "PGTWIN_GATEWAY_ALLOW"),
        ({"gateway_secret": "too-short"}, "PGTWIN_GATEWAY_SECRET"),
    ],
)
def test_a_guard_that_guards_nothing_is_refused(guard: dict[str, str], variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.load(auth_mode="gateway", host="0.0.0.0", **guard)  # noqa: S104
