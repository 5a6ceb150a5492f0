class KeyCommandError(Exception):
    """A key can't be made or found as asked; the message is one line for the operator."""
