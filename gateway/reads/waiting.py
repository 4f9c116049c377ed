"""Read your own writes: a GET waits until the read tables hold what its user wrote, was pushed, or names.

What concerns a user the tail remembers (infra/memory.py); how far the tables are is in infra/read_tables.py, and what
an answer says of that in infra/staleness.py.
"""

import asyncio
from collections.abc import Mapping

from starlette.requests import Request

from infra.edge import Edge
from infra.staleness import PATIENCE_SECONDS, stale
from schemas.errors import Unavailable, invalid
from schemas.ids import Partition, read_position
from schemas.topics import BY_NAME, CONVERSATIONS, USERS

AFTER = "Chat-After"


class Waiting:
    """Waits on behalf of the GETs of one edge."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._users = [Partition(USERS, number) for number in range(edge.partitions)]

    async def wait(self, request: Request, user_id: int, *, profiles: bool = False) -> dict[str, str]:
        """Wait for what this user must find; return the headers that say how far behind the answer is, if it is.

        `profiles`: the answer shows other users, so it waits for what the tail knows of them, too.

        ChatError VALIDATION_ERROR for a `Chat-After` that is none, Unavailable when there are no tables to wait for.
        """
        named = self._named(request)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        # What this edge gives again (caches.py) is as new as its tail, which may be behind what a client names.
        heard = await self._edge.tail.passed(named, PATIENCE_SECONDS)
        positions = _later(self._concerning(user_id), named)
        if profiles:
            tail = self._edge.tail.positions
            positions = _later(positions, {partition: tail[partition] for partition in self._users})
        tables = self._edge.tables
        if tables.live.schema is None:
            raise Unavailable("the read tables are not built yet", retry_after=2)
        if heard and (not positions or await tables.passed(positions, deadline - loop.time())):
            return {}
        return stale(self._edge, positions)

    def _concerning(self, user_id: int) -> dict[Partition, int]:
        """Return what the tables must pass, as far as they are not known to have."""
        stored = self._edge.tables.stored
        return {
            partition: after
            for partition, memory in self._edge.tail.memories.items()
            if partition.topic == CONVERSATIONS and (after := memory.after(user_id)) > stored.get(partition, 0)
        }

    def _named(self, request: Request) -> dict[Partition, int]:
        """Return the position after the record that the client names; its own header's name is the field."""
        named: dict[Partition, int] = {}
        for text in request.headers.getlist(AFTER):
            try:
                partition, offset = read_position(text.strip())
            except ValueError as error:
                raise invalid(AFTER, "must be the value of an earlier Chat-Position") from error
            topic = BY_NAME.get(partition.topic)
            count = (topic.partitions or self._edge.partitions) if topic and topic.projected else 0
            if partition.partition >= count:
                raise invalid(AFTER, "names no partition of this log")
            named = _later(named, {partition: offset + 1})
        return named


def _later(some: Mapping[Partition, int], others: Mapping[Partition, int]) -> dict[Partition, int]:
    """Return of each partition the later of the two offsets."""
    return {**some, **{partition: max(offset, some.get(partition, 0)) for partition, offset in others.items()}}
