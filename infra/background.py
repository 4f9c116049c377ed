"""Tasks that nobody waits for: kept until they end, and loud when they fail."""

import asyncio
import logging
from collections.abc import Collection, Coroutine
from typing import Any

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
"""How long what was cancelled may take to end."""


async def cancel(tasks: Collection["asyncio.Task[None]"]) -> None:
    """Cancel tasks and wait for their end, within bounds; one that goes on all the same is logged."""
    for task in tasks:
        task.cancel()
    if tasks:
        _, going_on = await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in going_on:
            log.error("%s does not end", task.get_name())


class Background:
    """Runs coroutines; `stop` cancels what is left of them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Run `work`; what it raises is logged."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self) -> None:
        """Cancel everything and wait for its end, within bounds."""
        await cancel(list(self._tasks))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
