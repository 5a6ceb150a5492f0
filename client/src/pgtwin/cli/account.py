import sys
from contextlib import suppress

from pgtwin import _version, errors
from pgtwin.cli import config
from pgtwin.cli.output import Form, show_one
from pgtwin.cli.session import USAGE, Refused, State, connected


def login(url: str, profile: str, *, key_stdin: bool) -> None:
    """Look whether the service takes the key, and keep both."""
    if key_stdin:
        key = sys.stdin.buffer.readline().decode(errors="replace").strip()
    elif sys.stdin.isatty():
        import getpass

        key = getpass.getpass("API key: ").strip()
    else:
        raise Refused("this is not a terminal, so nobody can be asked", USAGE, "give --key-stdin")
    if not key:
        raise Refused("there is no API key", USAGE)
    _look(url, key)
    config.save(config.Profile(profile, url.rstrip("/"), key))
    print(f"logged in to {url} as the profile {profile}, kept in {config.path()}")


def whoami(form: Form) -> None:
    found = config.chosen(State.profile)
    if not found.key:
        raise Refused("there is no API key", hint="run `pgtwin login`")
    url = _look(found.url, found.key)
    show_one(
        form,
        {
            "url": url,
            "profile": found.name,
            "key": found.key[:16],
            "client": _version.VERSION,
        },
    )


def _look(url: str | None, key: str) -> str:
    with connected(url, key) as client:
        # A key that may do other things is one all the same.
        with suppress(errors.NotAuthorized):
            next(iter(client.list_databases(page_size=1)), None)
        return client.url
