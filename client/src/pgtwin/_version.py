VERSION = "0.1.0"


def is_compatible(server: str) -> bool:
    """Whether this client speaks with a server: the same major, below 1.0 the same minor."""
    own, other = VERSION.split("."), server.split(".")
    parts = 2 if own[0] == "0" else 1
    return own[:parts] == other[:parts]
