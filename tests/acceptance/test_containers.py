"""The image without Docker: its build steps in a folder, then what it would start.

As root and where namespaces may be made, the service is process 1 and has the image's uid, as in
a container.
"""

import http.server
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from tests.conftest import MASTER_SECRET, drop_control_database
from tests.containers import REPOSITORY, compose, dockerfile

PATIENCE = 60.0
BUILD, FINAL = dockerfile()
SERVICES = compose()["services"]
UID = FINAL.only("USER").argument.partition(":")[0]
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child"]
USER = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the image is Linux's")


@dataclass(frozen=True)
class Image:
    """What the build made, with a folder in the place of /."""

    root: Path

    def path(self, text: str) -> str:
        """The image's paths in a text, as they are here."""
        return re.sub(r"(?<![\w.])/(opt|build)\b", rf"{self.root}/\1", text)

    @property
    def environment(self) -> dict[str, str]:
        path = os.environ["PATH"]
        values = {name: value.replace("$PATH", path) for name, value in FINAL.variables.items()}
        return values | {"PATH": self.path(values["PATH"]), "PGTWIN_DATA_DIR": "/nonexistent"}

    def start(self, words: list[str], **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*_confined(), *words],
            cwd=self.root,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, words: list[str], **variables: str) -> tuple[int, str, str]:
        """The exit code, output and errors of a command."""
        process = self.start(words, **variables)
        output, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, output, errors

    def health(self, **variables: str) -> tuple[int, str, str]:
        words = FINAL.only("HEALTHCHECK").argument.removeprefix("CMD ")
        return self.run(re.findall(r'"([^"]+)"', words), **variables)


@cache
def _confined() -> list[str]:
    """What confines a command here as a container does, as far as this machine lets us."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return []
    # An interpreter in root's home can't be started again by the image's user.
    again = ["sh", "-c", f"exec {Path(sys.executable).resolve()} -c ''"]
    for words in ([*NAMESPACE, *USER], NAMESPACE):
        if subprocess.run([*words, *again], capture_output=True, check=False).returncode == 0:
            return words
    return []


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    root = Path(tempfile.mkdtemp(prefix="pgtwin-tests-", dir="/tmp"))
    root.chmod(0o755)
    try:
        found = Image(root)
        _build(found)
        yield found
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _build(image: Image) -> None:
    tools, work = _tools(image), image.root
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    environment.pop("VIRTUAL_ENV", None)
    for each in BUILD.instructions:
        if each.keyword == "WORKDIR":
            work = Path(image.path(each.argument))
            work.mkdir(parents=True)
        elif each.keyword == "COPY":
            *sources, target = each.argument.split()
            for source in map(REPOSITORY.joinpath, sources):
                if source.is_dir():
                    shutil.copytree(source, work / target, ignore=shutil.ignore_patterns("*.pyc"))
                else:
                    shutil.copy(source, work / target)
        elif each.keyword == "RUN" and not each.argument.startswith("pip install"):
            command = ["sh", "-euc", image.path(each.argument)]
            ran = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
            assert ran.returncode == 0, each.argument + ran.stdout + ran.stderr


def _tools(image: Image) -> Path:
    """Where the build's own uv is: that of `make setup` when it is the same."""
    [install] = [run for run in BUILD.all("RUN") if run.argument.startswith("pip install")]
    wanted = install.argument.split("uv==")[1]
    ours = REPOSITORY / ".tools/bin"
    if (ours / "uv").exists():
        version = subprocess.run([ours / "uv", "--version"], capture_output=True, text=True)
        if version.stdout.split()[1] == wanted:
            return ours
    tools = image.root / "tools"
    subprocess.run([sys.executable, "-m", "venv", tools], check=True)
    subprocess.run([tools / "bin/python", "-m", *install.argument.split()], check=True)
    return tools / "bin"


@pytest.fixture(scope="module")
async def variables(image: Image, admin_url: str) -> AsyncIterator[dict[str, str]]:
    """The service's environment, after the compose file's init has prepared the database."""
    name = f"pgtwin_test_{secrets.token_hex(6)}"
    parts = urlsplit(admin_url)
    login = f"{parts.username}@{parts.hostname}:{parts.port}"
    given = {
        "PGTWIN_ADMIN_URL": f"postgresql://{login}/{name}",
        "PGPASSWORD": unquote(parts.password or ""),
        "PGTWIN_MASTER_SECRET": MASTER_SECRET,
    }
    assert set(given) == set(SERVICES["init"]["environment"])
    command = FINAL.only("ENTRYPOINT").exec_form or []
    code, output, errors = image.run([*command, *SERVICES["init"]["command"]], **given)
    assert (code, output) == (0, ""), errors
    try:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        yield {
            "PGTWIN_DATABASE_HOST": str(parts.hostname),
            "PGTWIN_DATABASE_PORT": str(parts.port),
            "PGTWIN_DATABASE_NAME": name,
            "PGTWIN_MASTER_SECRET": MASTER_SECRET,
            "PGTWIN_PORT": port,
        }
    finally:
        await drop_control_database(admin_url, name)


def _service(process: subprocess.Popen[str]) -> int:
    """The service itself, where it was started through `unshare`."""
    if not _confined():
        return process.pid
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def test_the_image_holds_the_service_compiled_and_no_tools(image: Image) -> None:
    folder = image.root / "opt/pgtwin"
    assert not [name for name in ("pip", "uv", "pytest") if (folder / "bin" / name).exists()]
    [packages] = folder.glob("lib/python3*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert {"core", "memory", "migrations", "asyncpg"} <= names
    assert not {"pip", "hatchling", "_pytest", "hypothesis"} & names
    for source in (packages / "memory").rglob("*.py"):
        assert list((source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")), source
    # The folder that it was built in may stand in no script.
    assert str(REPOSITORY) not in (folder / "bin/pgtwind").read_text()


@contextmanager
def _serving(image: Image, **variables: str) -> Iterator[list[str]]:
    """The container's own command, healthy; ended by SIGTERM. Gives a list for its output."""
    command = [*(FINAL.only("ENTRYPOINT").exec_form or []), *(FINAL.only("CMD").exec_form or [])]
    said: list[str] = []
    with image.start(command, **variables) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while image.health(**variables)[0] != 0:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline, "never healthy"
            yield said
            os.kill(_service(process), signal.SIGTERM)
            output, errors = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    said.append(output)


def test_the_container_serves_is_healthy_and_ends_on_sigterm(
    image: Image, variables: dict[str, str]
) -> None:
    code, _, errors = image.health(**variables)
    assert (code, len(errors.splitlines())) == (1, 1), errors
    with _serving(image, **variables) as said:
        assert image.health(**variables)[1].endswith(" is ready\n")
    assert said[0].endswith("stopped\n")
    [key] = re.findall(r"PGTWIN_KEY=(pgt_\w+)$", said[0], re.M)

    with _serving(image, **variables, PGTWIN_WORKERS="2"):
        _create_clone_and_drop(f"http://127.0.0.1:{variables['PGTWIN_PORT']}/v1/", key)


def _create_clone_and_drop(url: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=PATIENCE) as client:

        def post(action: str, **fields: Any) -> Any:
            answer = client.post(action, json={"uid": "u"} | fields)
            assert answer.status_code == 200, answer.text
            return answer.json().get("data")

        source = post("create_database", database_name="a")["database_id"]
        clone = post("clone_database", database_id=source, new_database_name="b")["database_id"]
        for database in (source, clone):
            post("drop_database", database_id=database)


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[str]:
    """A service that answers every request like this; gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    asked: list[str] = []
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
    assert asked == ["/readyz"]


def test_health_says_in_one_line_that_a_service_is_not_ready(image: Image) -> None:
    with _answering(503, b'{"status": "PostgreSQL\nis away"}') as url:
        code, output, errors = image.run(["pgtwind", "health", "--url", url])
    assert (code, output) == (1, "")
    expected = f'pgtwind: {url} is not ready (503): {{"status": "PostgreSQL is away"}}\n'
    assert errors == expected
    code, _, errors = image.run(["pgtwind", "health", "--url", "file:///etc/passwd"])
    assert (code, len(errors.splitlines())) == (1, 1)
