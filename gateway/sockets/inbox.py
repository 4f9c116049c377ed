"""What a client has sent and nobody has taken yet: a queue with one taker, made for thousands of sockets.

asyncio.Queue asks for the running loop at each step, which in this Python is a system call, and holds three times the
memory.
"""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """In the order of `put_nowait`; only one task may wait in `get`."""

    __slots__ = ("_loop", "_taker", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[T] = []
        self._taker: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def taker_waits(self) -> bool:
        """Whether the taker waits, and has taken all that there was."""
        return self._taker is not None and not self._waiting

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return not self._waiting

    def put_nowait(self, item: T) -> None:
        """Add an item, and wake the taker."""
        self._waiting.append(item)
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    async def get(self) -> T:
        """Return the next item, once there is one."""
        while not self._waiting:
            self._taker = self._loop.create_future()
            try:
                await self._taker
            finally:
                self._taker = None
        return self._waiting.pop(0)
