"""How uvicorn is set up."""

import pytest

from memory.cli.serving import _config


@pytest.mark.parametrize("gives_up_after", [5, 60], ids=["httpx", "gateways"])
def test_the_service_keeps_idle_connections_longer_than_its_clients(gives_up_after: int) -> None:
    assert _config("memory.cli.serving:worker").timeout_keep_alive > gives_up_after
