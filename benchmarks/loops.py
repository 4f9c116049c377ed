"""Run work on the loop that edges run on.

Our own loop cannot be that one: uvloop does not start processes under another account, which Postgres needs.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

CANCEL_SECONDS = 30

Result = TypeVar("Result")


async def on_uvloop(work: Coroutine[Any, Any, Result]) -> Result:
    """Run this on a uvloop in a thread, and return what it returns; cancelled when we are."""
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def inner() -> Result:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        return await work

    outer = asyncio.ensure_future(asyncio.to_thread(uvloop.run, inner()))
    try:
        return await asyncio.shield(outer)
    except asyncio.CancelledError:
        for loop, task in running:
            loop.call_soon_threadsafe(task.cancel)
        await asyncio.wait([outer], timeout=CANCEL_SECONDS)
        raise
