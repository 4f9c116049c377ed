"""The broker's time, as this process knows it: its own monotonic clock, set by the append timestamps that it reads.

Every time that goes into an event and every sliding limit comes from here, so a wrong wall clock changes nothing.
"""

import time

from schemas.times import Time, format_time


class BrokerClock:
    """Milliseconds since the epoch by the broker's clock; it never goes back."""

    def __init__(self) -> None:
        self._ahead: float | None = None
        self._written: tuple[int, Time] = (0, format_time(0))

    def observe(self, timestamp: int) -> None:
        """Take the append timestamp of a record that was just read; a record read late cannot turn the clock back."""
        ahead = timestamp - time.monotonic() * 1_000
        if self._ahead is None or ahead > self._ahead:
            self._ahead = ahead

    def now(self) -> int:
        """Return the broker's time; RuntimeError before the first record was read."""
        if self._ahead is None:
            raise RuntimeError("the broker's time is not known before a record was read")
        return int(time.monotonic() * 1_000 + self._ahead)

    def now_text(self) -> Time:
        """Return the broker's time as an RFC 3339 text."""
        now = self.now()
        if now != self._written[0]:  # many commands come in the same millisecond
            self._written = now, format_time(now)
        return self._written[1]
