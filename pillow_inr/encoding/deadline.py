"""A time at which work should be done, or none: what `time_limit` becomes, and how it is shared out."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A reading of `time.perf_counter` at which something should be there; None for no limit."""

    at: float | None = None

    @classmethod
    def after(cls, seconds: float | None) -> "Deadline":
        """The deadline that lies this far ahead."""
        return cls(None if seconds is None else time.perf_counter() + seconds)

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return self.at is not None and time.perf_counter() >= self.at

    def part(self, share: float) -> "Deadline":
        """The deadline for a share, 0..1, of the time that is left."""
        if self.at is None:
            return self
        now = time.perf_counter()
        return Deadline(now + share * (self.at - now))

    def earlier(self, seconds: float) -> "Deadline":
        """The deadline that leaves these seconds for what comes after."""
        return self if self.at is None else Deadline(self.at - seconds)
