"""The PostgreSQL that the tests run on: given, in a container, or embedded."""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from core.postgres.embedded import EmbeddedServer
from core.settings import postgresql_url

CONTAINER_IMAGE = "pgvector/pgvector:pg18"


class PostgresForTests:
    """An administrator's URL for one test run; `DATABASE_URL`, if given, is never stopped."""

    def __init__(self) -> None:
        self._stop: Callable[[], object] | None = None
        self.admin_url = ""

    def start(self) -> None:
        given = os.environ.pop("DATABASE_URL", "")
        if given:
            self.admin_url = postgresql_url(given)
        elif _docker_answers():
            self._start_container()
        else:
            self._start_embedded()

    def stop(self) -> None:
        if self._stop is not None:
            self._stop()

    def _start_container(self) -> None:
        from testcontainers.postgres import PostgresContainer

        container = PostgresContainer(CONTAINER_IMAGE, driver=None)
        container.start()
        self._stop = container.stop
        self.admin_url = container.get_connection_url()

    def _start_embedded(self) -> None:
        with ExitStack() as stack:
            self.admin_url = embedded_server(stack, shared_buffers="128MB")
            self._stop = stack.pop_all().close


def embedded_server(
    stack: ExitStack | AsyncExitStack, major: int = 18, shared_buffers: str = "64MB"
) -> str:
    """Start a server of its own, which the stack ends; gives its administrator's URL."""
    # PostgreSQL refuses to run as root, and its unprivileged user must reach the folder.
    folder = Path(tempfile.mkdtemp(prefix=f"pgtwin-tests-{major}-"))
    folder.chmod(0o711)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    settings = {"fsync": "off", "shared_buffers": shared_buffers}
    server = EmbeddedServer(folder, major=major, settings=settings)
    server.start()
    stack.callback(server.stop)
    return server.superuser_url


def _docker_answers() -> bool:
    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return False
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=3)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except DockerException:
        return False
