"""Wait for a server that is about to come up: try again with growing pauses, until the caller's time is over."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


async def until_there(attempt: Callable[[], Awaitable[Answer]], *away: type[BaseException]) -> Answer:
    """Return what `attempt` returns, trying again while it raises one of `away`; for ever: bound it."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except away as error:
            if pause >= LONGEST_PAUSE:
                log.warning("not there yet: %s", error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
