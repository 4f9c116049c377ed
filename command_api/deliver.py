"""How a command's outcome reaches whoever asked: by a call in the order of the log, which HTTP turns into an answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from schemas.errors import ChatError

T = TypeVar("T")

Deliver = Callable[[T | ChatError], None]
"""Is called once with the outcome, while the tail hands out the record, so that a socket's frames keep their order."""


async def outcome(command: Callable[[Deliver[T]], Awaitable[None]]) -> T:
    """Run a command and wait for what it delivers; raises the ChatError that it delivers or raises."""
    result: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def deliver(delivered: T | ChatError) -> None:
        if result.done():
            return
        if isinstance(delivered, ChatError):
            result.set_exception(delivered)
        else:
            result.set_result(delivered)

    await command(deliver)
    return await result
