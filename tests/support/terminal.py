"""A terminal and a clock that stand in for real ones, for what is drawn on standard error."""

import io


class Terminal(io.StringIO):
    """A stream that is a terminal; tells what a person would see on it."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, without spaces at the ends of lines."""
        return [self._seen(line).rstrip() for line in self.getvalue().split("\n")]

    def _seen(self, line: str) -> str:
        seen = ""
        for part in line.split("\r"):
            seen = part + seen[len(part) :]
        return seen


class Clock:
    """Stands in for the module `time`: seconds go by only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now
