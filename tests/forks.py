"""Work in a forked process."""

import json
import os
import signal
from collections.abc import Callable


def in_fork(work: Callable[[], list[object]]) -> list[object]:
    """What the work returns in a forked child, which has 30 s for it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            os.write(writer, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError("the forked process ended without an answer")
    found: list[object] = json.loads(text)
    return found
