"""What every process that runs lanes sets for itself, once and for all of it, and how it ends."""

import asyncio
import gc
import logging
from collections.abc import Coroutine
from typing import Any

import uvloop

LEAVE_SECONDS = 1.0
CHATTY = ("faust", "mode", "projections.faust_worker")


def prepare() -> None:
    """Quieten what tells of each step, and look for cycles rarely.

    A batch makes many objects and hardly a cycle: looking for them all the time is a third of a busy lane's time.
    """
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Faust reads Kafka on a thread of its own, on whatever loop there is by default.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    gc.freeze()
    gc.set_threshold(1_000_000, 50, 100)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end and return what comes of it. Then the process ends, with or without what Faust still does."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(work)
    finally:
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            # Not as long as they like: some of Faust's, cancelled in the middle of a start, never end.
            loop.run_until_complete(asyncio.wait(left, timeout=LEAVE_SECONDS))
