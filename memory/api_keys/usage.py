class KeyUsage:
    """Which keys were used since the last look; written down now and then, not a request."""

    def __init__(self) -> None:
        self._used: set[int] = set()

    def note(self, key_id: int) -> None:
        self._used.add(key_id)

    def take(self) -> set[int]:
        used, self._used = self._used, set()
        return used

    def give_back(self, key_ids: set[int]) -> None:
        """For what could not be written down."""
        self._used |= key_ids
