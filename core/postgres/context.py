"""The beginning of a call in a database: a session that remembers nothing, and for whom it is."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from core.postgres.engine import milliseconds
from core.postgres.identifiers import Environment, Identifier, literal
from core.settings import Settings

EXTENSIONS = Identifier("pgtwin_ext")
# What an earlier call may have left in a session, by whatever code it ran; the settings go back to
# those of the login, which are the service's and go before those of the role.
# The first of them also undoes the role that a login may have set for itself.
FORGET = (
    "RESET SESSION AUTHORIZATION",
    "RESET ALL",
    "CLOSE ALL",
    "UNLISTEN *",
    "DEALLOCATE ALL",
    "DISCARD SEQUENCES",
)
# Locks that outlive the transaction could be of the service's own numbers.
UNLOCK = "SELECT pg_catalog.pg_advisory_unlock_all()"
# A limit that a call leaves must not meet the next one's beginning before there is a transaction.
LIFT = "RESET ALL"


def session_settings(settings: Settings) -> Mapping[str, str]:
    """The parameters that sessions of tenants log in with, whatever their role has set."""
    return {
        "application_name": "pgtwin sql",
        "search_path": "",
        "timezone": "UTC",
        "jit": "off",
        "row_security": "on",
        "standard_conforming_strings": "on",
        "backslash_quote": "safe_encoding",
        "client_min_messages": "error",
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "off",
        "statement_timeout": milliseconds(settings.sql_timeout),
        "lock_timeout": milliseconds(settings.sql_lock_timeout),
        # The service sends the next statement at once; a stream waits for its reader.
        "idle_in_transaction_session_timeout": milliseconds(settings.sql_transaction_timeout),
        "work_mem": "16MB",
        "max_parallel_workers_per_gather": "1",
        # pgvector's indexes find rows before row security does, and go on for more only so. Where
        # it is not there, these are settings of nothing.
        "hnsw.iterative_scan": "strict_order",
        "ivfflat.iterative_scan": "relaxed_order",
    }


def beginning(
    schema: Identifier,
    *,
    becoming: str = "",
    entry: str = "",
    read_only: bool = False,
    snapshot: bool = False,
    is_new: bool = False,
) -> str:
    """The message that begins a call's transaction.

    Args:
        schema: where unqualified names are found, before the extensions'.
        becoming: the statements that make another act than the login; empty: the login acts.
        entry: the statement that says for which end user it is; empty: for none.
        read_only: nothing can be written, nor that be lifted once a snapshot is taken.
        snapshot: all statements see the moment of the first one, for which `frozen` is.
        is_new: the session has nothing to forget but what its role has set for itself.
    """
    # Said in full, for the session may have been left with other defaults.
    access = "READ ONLY" if read_only else "READ WRITE"
    isolation = "REPEATABLE READ" if snapshot else "READ COMMITTED"
    forget = FORGET[:1] if is_new else FORGET
    begin = f"BEGIN ISOLATION LEVEL {isolation}, {access}"
    # What goes out behind this message fails where a transaction has begun that is no good, while
    # without one it would be on its own. A message is a transaction of its own until BEGIN, and in
    # the one with a snapshot nothing may have taken it by then.
    statements = [*forget, "COMMIT", begin] if snapshot else [begin, *forget]
    if becoming:
        statements.append(becoming)
    statements.append(f"SET LOCAL search_path = {schema}, {EXTENSIONS}")
    if entry:
        statements.append(entry)
    if read_only and not snapshot:
        statements.append("SELECT 1")
    return "; ".join(statements)


def acting(schema: Identifier, becoming: str) -> str:
    """The message that says again, or anew, who acts where, in the middle of a transaction.

    Args:
        schema, becoming: as in `beginning`.
    """
    return (
        f"RESET SESSION AUTHORIZATION; {becoming}; SET LOCAL search_path = {schema}, {EXTENSIONS}"
    )


def becoming_lent(
    key: bytes, backend_pid: int, login: str, role: Identifier, environment: Environment
) -> str:
    """The statements that make an owner act whom the login may not become by itself.

    The message that they are in is to run nothing of another environment: code can read it.
    """
    token = _signature(key, "lend", str(backend_pid), login, environment.value)
    loan = f"('{token}', '{environment}')"
    return (
        f"SELECT pgtwin_rt.lend_owner{loan}; SET LOCAL ROLE {role};"
        f" SELECT pgtwin_rt.take_back_owner{loan}"
    )


# Says who ends a transaction, where nobody is to: what was put off until its end can do nothing.
NOBODY = "RESET SESSION AUTHORIZATION; SET LOCAL ROLE NONE"


def locking(relations: Iterable[Identifier]) -> str:
    """The statement that holds relations as they are, which takes no snapshot yet."""
    names = ", ".join(str(each) for each in relations)
    return f"LOCK TABLE {names} IN ACCESS SHARE MODE"


def frozen(entry: str, seconds: float) -> str:
    """The message that takes a transaction's one snapshot.

    Args:
        entry: as in `beginning`.
        seconds: how long the statements after it may run each.
    """
    limit = f"SET LOCAL statement_timeout = '{milliseconds(seconds)}'"
    return "; ".join([*([entry] if entry else []), "SELECT 1", limit])


def entering(key: bytes, backend_pid: int, login: str, app_id: str, uid: str) -> str:
    """The statement that makes one session's transaction an end user's.

    Args:
        app_id: without a colon.
    """
    token = _signature(key, "enter", str(backend_pid), login, app_id, uid)
    return f"SELECT pgtwin_rt.enter('{token}', {literal(app_id)}, {literal(uid)})"


def answer_token(
    key: bytes, backend_pid: int, login: str, digest: bytes, caller: str, name: str
) -> str:
    """What `pgtwin_rt.keep_answer()` asks for."""
    return _signature(key, "answer", str(backend_pid), login, digest.hex(), caller, name)


def _signature(key: bytes, *parts: str) -> str:
    return hmac.new(key, ":".join(parts).encode(), hashlib.sha256).hexdigest()
