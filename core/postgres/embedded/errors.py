"""What the embedded server's modules raise."""


class EmbeddedServerError(Exception):
    """The embedded server cannot be used; the message tells the user why and what to do."""
