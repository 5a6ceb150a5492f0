"""The page at /docs, which people type their keys into."""

import re

import pytest
from fastapi import FastAPI

from tests.conftest import http_client


async def test_the_page_loads_nothing_from_elsewhere(app: FastAPI) -> None:
    async with http_client(app) as client:
        page = (await client.get("/docs")).text
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert loaded
        assert [url for url in loaded if not url.startswith("/docs/assets/")] == []
        assert {(await client.get(url)).status_code for url in loaded} == {200}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_what_describes_the_service_is_open(app: FastAPI, path: str) -> None:
    async with http_client(app) as client:
        assert (await client.get(path)).status_code == 200


async def test_the_root_leads_to_the_page(app: FastAPI) -> None:
    async with http_client(app) as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.headers["Location"]) == (307, "/docs")
