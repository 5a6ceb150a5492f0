import random
from dataclasses import dataclass

_CHANCE = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call is sent again, and when.

    Reads are sent again as they are. Writes carry an `Idempotency-Key`, made once a call, so that
    one which was done without its answer having come is not done twice.

    Attributes:
        attempts: how often a call is sent at most; 1: never again.
        first: seconds before the second attempt; each further wait is twice as long.
        longest: seconds that a wait takes at most.
    """

    attempts: int = 4
    first: float = 0.1
    longest: float = 5.0

    def wait(self, attempt: int, asked: str = "") -> float:
        """Seconds until the next attempt.

        Args:
            attempt: how many there were.
            asked: the answer's Retry-After, in seconds.
        """
        if asked.isdecimal():
            return min(float(asked), self.longest)
        full = min(self.longest, self.first * 2.0 ** (attempt - 1))
        return full * _CHANCE.uniform(0.5, 1.0)
