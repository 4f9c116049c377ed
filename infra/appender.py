"""Append to the log and observe: every event that this process writes is seen again on its own tail.

A record is recognised by its ce_id, wherever the tail has it from. How it is written is in writer.py.
"""

import asyncio
import secrets
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError
from msgspec import Struct

from infra.clock import BrokerClock
from infra.memory import Entry
from infra.placing import place
from infra.tail import Stage, Tail
from infra.trace import traceparent
from infra.writer import Writer
from schemas.envelope import seal
from schemas.errors import Unavailable
from schemas.events import AnyEvent, Event
from schemas.ids import Partition
from schemas.judge import LIMIT
from schemas.times import format_time
from schemas.topics import BY_NAME

OBSERVE_SECONDS = 5.0
"""How long an append may take to come back before its outcome is told to be unknown."""

MOST_UNDER_WAY = LIMIT * 4 // 5
"""Appends under way at once. More are refused: their `as_of` would be too old by the time they are in the log."""

Observed = Callable[[Entry | None], None]
"""Is called once: with the record when the tail brings it back, or with None when its outcome is unknown."""


class _UnderWay(Struct, frozen=True):
    observed: Observed
    origin: object | None
    deadline: float


class Appender:
    """What this process has under way in the log.

    `edge` names it in `ce_source`; `partitions` is the log's partition count; `understood` tells of an event type
    whether the live read tables read it, so that a newer edge beside older workers writes nothing they must refuse.
    """

    def __init__(
        self,
        writer: Writer,
        tail: Tail,
        clock: BrokerClock,
        *,
        edge: str,
        partitions: int,
        understood: Callable[[type[Event]], bool],
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._source = f"/chat/edges/{edge}"
        self._prefix = secrets.token_hex(9)
        self._count = 0
        self._partitions = partitions
        self._understood = understood
        self._under_way: dict[str, _UnderWay] = {}
        tail.follow(Stage.ANSWER, self._observe, void=True)

    def append(self, event: AnyEvent, observed: Observed, *, origin: object | None = None) -> None:
        """Put `event` in line for the log, in the order of the calls.

        `origin` comes back on the entry. Unavailable when it cannot be taken: nothing was written then.
        """
        if not isinstance(event, Event):
            raise TypeError(f"{event!r} cannot be appended")
        if not self._understood(type(event)):
            raise Unavailable(f"the read tables do not read {event.type} yet")
        if len(self._under_way) >= MOST_UNDER_WAY:
            raise Unavailable("too many commands are under way")
        self._count += 1
        ce_id = f"{self._prefix}-{self._count}"
        sealed = seal(event, ce_id=ce_id, source=self._source, time=self._clock.now_text(), traceparent=traceparent())
        self._writer.put(self.partition_of(event.topic, sealed.key), sealed)
        self._under_way[ce_id] = _UnderWay(observed, origin, time.monotonic() + OBSERVE_SECONDS)

    async def append_and_observe(self, event: AnyEvent) -> Entry:
        """Append and wait for the record to come back; Unavailable when its outcome is unknown."""
        outcome: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()

        def observed(entry: Entry | None) -> None:
            if outcome.done():
                return
            if entry is None:
                outcome.set_exception(Unavailable("the outcome is unknown"))
            else:
                outcome.set_result(entry)

        self.append(event, observed)
        return await outcome

    async def append_blindly(self, event: AnyEvent) -> int:
        """Append without a tail that brings it back, at start and stop; return the broker's timestamp of the record."""
        sealed = seal(
            event,
            ce_id=secrets.token_hex(16),
            source=self._source,
            time=format_time(time.time_ns() // 10**6),
            traceparent=traceparent(),
        )
        try:
            async with asyncio.timeout(OBSERVE_SECONDS):
                return await self._writer.write(self.partition_of(event.topic, sealed.key), sealed)
        except (KafkaError, TimeoutError) as error:
            raise Unavailable("the log cannot be written to right now") from error

    def partition_of(self, topic: str, key: bytes | None) -> Partition:
        """Return the partition where records with this key lie."""
        return Partition(topic, place(key, BY_NAME[topic].partitions or self._partitions))

    def expire(self) -> None:
        """Tell those whose record did not come back in time; call it about once a second."""
        now = time.monotonic()
        late = []
        for ce_id, under_way in self._under_way.items():
            if under_way.deadline > now:
                break
            late.append(ce_id)
        for ce_id in late:
            self._under_way.pop(ce_id).observed(None)

    @property
    def under_way(self) -> int:
        """How many appends have not come back yet."""
        return len(self._under_way)

    def _observe(self, entry: Entry) -> None:
        under_way = self._under_way.pop(entry.ce_id, None) if entry.ce_id else None
        if under_way is not None:
            entry.origin = under_way.origin
            under_way.observed(entry)
