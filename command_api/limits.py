"""How much one user may do in a while: sliding windows over the log, plus what this process has under way.

Counted from the tail, so that every edge counts the same and a restart forgets nothing. Edges that decide in the same
instant may together exceed a limit by one each. Duplicates and void records never count.
"""

from collections import defaultdict, deque

from infra.clock import BrokerClock
from infra.memory import Entry
from schemas.errors import ChatError, Code
from schemas.events import MessageSent, ReportFiled

MINUTE = 60_000
DAY = 24 * 3_600_000


class Window:
    """At most `limit` of something for each user in any `span` milliseconds; a limit of 0 is none."""

    def __init__(self, clock: BrokerClock, *, limit: int, span: int, what: str) -> None:
        self._clock = clock
        self._limit = limit
        self._span = span
        self._what = what
        self._times: defaultdict[int, deque[int]] = defaultdict(deque)
        self._under_way: defaultdict[int, int] = defaultdict(int)
        self._swept = 0

    def check(self, user_id: int) -> None:
        """Refuse one more; ChatError RATE_LIMITED with the seconds until it would be taken."""
        if self._limit == 0:
            return
        now = self._clock.now()
        times = self._recent(user_id, now)
        under_way = self._under_way.get(user_id, 0)
        if len(times) + under_way < self._limit:
            return
        beyond = len(times) + under_way - self._limit
        free_at = (times[beyond] if beyond < len(times) else now) + self._span
        raise ChatError(
            Code.RATE_LIMITED,
            f"at most {self._limit} {self._what}",
            retry_after=max(1, -(-(free_at - now) // 1_000)),
        )

    def begin(self, user_id: int) -> None:
        """Count one that is under way; `end` must follow."""
        if self._limit:
            self._under_way[user_id] += 1

    def end(self, user_id: int) -> None:
        """Stop counting one that was under way: the tail has brought it, or its outcome is unknown."""
        if self._limit:
            self._under_way[user_id] -= 1
            if self._under_way[user_id] <= 0:
                del self._under_way[user_id]

    def count(self, user_id: int, timestamp: int) -> None:
        """Count one that the log holds, appended at `timestamp` (milliseconds since the epoch)."""
        if self._limit == 0:
            return
        self._times[user_id].append(timestamp)
        if timestamp - self._swept > self._span:
            self._swept = timestamp
            for other in [user for user, times in self._times.items() if times[-1] <= timestamp - self._span]:
                del self._times[other]

    def _recent(self, user_id: int, now: int) -> deque[int]:
        times = self._times.get(user_id)
        if times is None:
            return deque()
        while times and times[0] <= now - self._span:
            times.popleft()
        if not times:
            del self._times[user_id]
        return times


class Limits:
    """The windows of this process."""

    def __init__(self, clock: BrokerClock, *, messages_per_minute: int, reports_per_day: int) -> None:
        self.messages = Window(clock, limit=messages_per_minute, span=MINUTE, what="messages a minute")
        self.reports = Window(clock, limit=reports_per_day, span=DAY, what="reports a day")

    def fold(self, entry: Entry) -> None:
        """Take the next counted message or report."""
        match entry.event:
            case MessageSent(sender_id=user_id):
                self.messages.count(user_id, entry.timestamp)
            case ReportFiled(user_id=user_id):
                self.reports.count(user_id, entry.timestamp)
            case _:
                pass
