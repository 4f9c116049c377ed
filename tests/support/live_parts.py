"""Stand-ins for what the live side stands on, where a real server adds nothing: a log that answers at once."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from gateway.sockets.session import Session
from infra.memory import Entry
from schemas.errors import Unavailable
from schemas.events import AnyEvent, key_of
from schemas.ids import Partition
from schemas.judge import COUNTED, Judgement
from schemas.topics import CONVERSATIONS

TIME = "2026-01-31T12:00:00.000Z"
PARTITION = Partition(CONVERSATIONS, 0)


class Clock:
    """A broker's clock that tests set."""

    def __init__(self) -> None:
        self.milliseconds = 1_000_000

    def now(self) -> int:
        return self.milliseconds

    def now_text(self) -> str:
        return TIME


class Log:
    """Takes events, and hands each to its followers at once, as a tail would."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.appended: list[AnyEvent] = []
        self.followers: list[Callable[[Entry], None]] = []
        self.away = False
        self._ends: defaultdict[Partition, int] = defaultdict(int)

    def entry(self, event: AnyEvent, judgement: Judgement = COUNTED) -> Entry:
        """Return the next record of the topic."""
        partition = Partition(event.topic, 0)
        offset = self._ends[partition]
        self._ends[partition] += 1
        return Entry(partition, offset, self.clock.milliseconds, None, event, judgement)

    def read(self, event: AnyEvent, judgement: Judgement = COUNTED, *, origin: object | None = None) -> Entry:
        """Let everybody see a record."""
        entry = self.entry(event, judgement)
        entry.origin = origin
        for follower in self.followers:
            follower(entry)
        return entry

    def append(self, event: AnyEvent, observed: Any) -> None:
        if self.away:
            raise Unavailable("the log is away")
        key_of(event)
        self.appended.append(event)
        observed(self.read(event))

    async def append_and_observe(self, event: AnyEvent) -> Entry:
        await asyncio.sleep(0)
        outcome: list[Entry] = []
        self.append(event, outcome.append)
        return outcome[0]


def frames_of(session: Session) -> list[dict[str, Any]]:
    """Return everything that waits in a session's queue, as a client reads it."""
    return [json.loads(frame) for frame in session.take(10_000_000)]


def kinds_of(session: Session) -> list[str]:
    return [frame["type"] for frame in frames_of(session)]


async def settle() -> None:
    """Let background tasks come to rest."""
    for _ in range(20):
        await asyncio.sleep(0)
