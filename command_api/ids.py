"""New ids, out of blocks leased from the log: the offset of a lease in `chat.ids` is the number of its block.

No clock and no coordinator, and nothing that a restored database could give out twice.
"""

import asyncio

from infra.appender import Appender
from schemas.events import IdsLeased
from schemas.ids import BLOCK_SIZE


class Ids:
    """The ids of this process; the next block is leased before the last one is used up."""

    def __init__(self, appender: Appender, edge: str) -> None:
        self._appender = appender
        self._edge = edge
        self._next = 0
        self._end = 0
        self._spare: int | None = None
        self._leasing: asyncio.Task[None] | None = None

    @property
    def at_hand(self) -> bool:
        """Whether `take` has an id to give without `ready`."""
        return self._next != self._end

    async def ready(self) -> None:
        """Wait until `take` has an id to give, which it keeps until the caller waits again; Unavailable otherwise."""
        while not self.at_hand:
            if self._spare is not None:
                self._next, self._end = self._spare * BLOCK_SIZE, (self._spare + 1) * BLOCK_SIZE
                self._spare = None
            else:
                await asyncio.shield(self._lease_once())

    def take(self) -> int:
        """Return an id that nobody has had; `ready` comes first."""
        if not self.at_hand:
            raise RuntimeError("take() without ready()")
        self._next += 1
        if self._spare is None and self._end - self._next < BLOCK_SIZE // 2:
            self._lease_once()
        return self._next - 1

    def _lease_once(self) -> "asyncio.Task[None]":
        if self._leasing is None or self._leasing.done():
            self._leasing = asyncio.get_running_loop().create_task(self._lease())
            self._leasing.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._leasing

    async def _lease(self) -> None:
        entry = await self._appender.append_and_observe(IdsLeased(edge=self._edge))
        self._spare = entry.offset
