"""Profiles: where a service is, and with which key. The environment goes before them."""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PROFILE = "default"


class ConfigError(Exception):
    """The file of profiles can't be used as it is."""


@dataclass(frozen=True, slots=True)
class Profile:
    """
    Attributes:
        url, key: None: nothing says it.
    """

    name: str
    url: str | None
    key: str | None


def folder() -> Path:
    """Of the user's configuration, after the XDG base directory specification."""
    given = os.environ.get("XDG_CONFIG_HOME")
    return Path(given) / "pgtwin" if given else _home() / ".config" / "pgtwin"


def state_folder() -> Path:
    """Of what is kept from call to call, such as the prompt's history."""
    given = os.environ.get("XDG_STATE_HOME")
    return Path(given) / "pgtwin" if given else _home() / ".local" / "state" / "pgtwin"


def _home() -> Path:
    """
    Raises:
        ConfigError: the user has none, as in a container.
    """
    try:
        return Path.home()
    except RuntimeError as error:
        raise ConfigError("this user has no home: set HOME, or PGTWIN_CONFIG") from error


def path() -> Path:
    given = os.environ.get("PGTWIN_CONFIG")
    return Path(given) if given else folder() / "config.toml"


def profiles() -> dict[str, dict[str, str]]:
    """
    Raises:
        ConfigError
    """
    try:
        found = tomllib.loads(path().read_text())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path()} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path()} can't be read: {error}") from error
    given = found.get("profile", {})
    if not isinstance(given, dict) or not all(map(_is_profile, given.values())):
        raise ConfigError(f"{path()} can't be read: a profile is a table with url and key, texts")
    return given


def _is_profile(given: object) -> bool:
    return isinstance(given, dict) and all(isinstance(each, str) for each in given.values())


def chosen(name: str | None) -> Profile:
    """The profile of this name; PGTWIN_URL and PGTWIN_KEY go before what it says.

    Args:
        name: None: that of PGTWIN_PROFILE, or `default`.

    Raises:
        ConfigError: a profile was named that is not there.
    """
    wanted = name or os.environ.get("PGTWIN_PROFILE") or ""
    url, key = os.environ.get("PGTWIN_URL"), os.environ.get("PGTWIN_KEY")
    if url and key and not wanted:
        # All is said; a program in a container may have no home to look into.
        return Profile(DEFAULT_PROFILE, url, key)
    found = profiles()
    if wanted and wanted not in found:
        raise ConfigError(f'there is no profile "{wanted}" in {path()}')
    given = found.get(wanted or DEFAULT_PROFILE, {})
    if name:
        # What was named on the command line is meant.
        return Profile(name, given.get("url"), given.get("key"))
    return Profile(
        wanted or DEFAULT_PROFILE,
        url or given.get("url"),
        key or given.get("key"),
    )


def save(profile: Profile) -> None:
    """Write a profile; nobody else can read the file."""
    found = profiles()
    found[profile.name] = {"url": profile.url or "", "key": profile.key or ""}
    lines = []
    for name, given in found.items():
        lines.append(f"[profile.{json.dumps(name)}]")
        lines += [f"{field} = {json.dumps(value)}" for field, value in given.items()]
        lines.append("")
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines))
    part.replace(target)
