"""The broker's time, as this process knows it: its own monotonic clock, set by the append timestamps that it reads.

Every time that goes into an event and every sliding limit comes from here, so a wrong wall clock changes nothing.
"""

import math
import time

from schemas.times import Time, format_time

MEASURE_MS = 60_000


class BrokerClock:
    """Milliseconds since the epoch by the broker's clock.

    It goes by the latest timestamps of the last minute or two: records that are read late do not turn it back, and a
    broker whose clock was put back is followed.
    """

    def __init__(self) -> None:
        self._ahead = self._ahead_before = -math.inf
        self._measured_from = 0.0
        self._written: tuple[int, Time] = (0, format_time(0))

    def observe(self, timestamp: int) -> None:
        """Take the append timestamp of a record that was just read."""
        now = time.monotonic() * 1_000
        ahead = timestamp - now
        if now - self._measured_from >= MEASURE_MS:
            self._ahead, self._ahead_before, self._measured_from = ahead, self._ahead, now
        else:
            self._ahead = max(ahead, self._ahead)

    def now(self) -> int:
        """Return the broker's time; RuntimeError before the first record was read."""
        ahead = max(self._ahead, self._ahead_before)
        if ahead == -math.inf:
            raise RuntimeError("the broker's time is not known before a record was read")
        return int(time.monotonic() * 1_000 + ahead)

    def now_text(self) -> Time:
        """Return the broker's time as an RFC 3339 text."""
        now = self.now()
        if now != self._written[0]:  # many commands come in the same millisecond
            self._written = now, format_time(now)
        return self._written[1]
