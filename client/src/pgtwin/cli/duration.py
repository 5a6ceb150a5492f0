"""Times as people say them."""

import re
from datetime import datetime

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds(text: str) -> int:
    """Seconds of `90`, `90s`, `15m`, `2h`, `7d`, `1w`, or of several such as `1h30m`.

    Raises:
        ValueError
    """
    if text.isascii() and text.isdecimal():
        return int(text)
    if not re.fullmatch(r"([0-9]+[smhdw])+", text):
        raise ValueError(f'"{text}" is no time: give 90s, 15m, 2h, 7d')
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", text))


def moment(text: str) -> datetime:
    """A time of ISO 8601; without a zone, that of this machine.

    Raises:
        ValueError
    """
    return datetime.fromisoformat(text).astimezone()
