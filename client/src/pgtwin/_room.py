"""Connections for programs that can wait until others have given theirs back."""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pgtwin.errors import ConnectionLimitReached
from pgtwin.models import Connection

if TYPE_CHECKING:
    from pgtwin import Client
    from pgtwin._sync.calls import Environment

# Seconds to wait, and between two tries.
PATIENCE = 300
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0


def connection_in_time(
    client: "Client",
    database_id: int,
    env: "Environment",
    name: str,
    *,
    connection_limit: int | None,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
) -> Connection:
    """A read-write connection with its password, as soon as the service has one to give.

    Args:
        connection_limit: sessions that it may have at a time; None: the service's default.
        patience: seconds.
        sleep: called with seconds where all are given out; what it raises ends the waiting.

    Raises:
        ConnectionLimitReached: others had them all for too long.
    """
    deadline, pause = time.monotonic() + patience, FIRST_PAUSE
    while True:
        try:
            made = client.create_connection(
                database_id, env=env, name=name, connection_limit=connection_limit
            )
        except ConnectionLimitReached:
            if time.monotonic() + pause > deadline:
                raise
        else:
            if made.uri is None:
                # The answer was lost and given again, which it is without the password.
                made = client.rotate_connection(made.connection_id)
            return made
        sleep(pause * random.uniform(0.5, 1))  # noqa: S311  keeps nothing secret
        pause = min(pause * 2, LONGEST_PAUSE)
