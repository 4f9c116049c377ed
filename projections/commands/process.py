"""What every process that runs lanes sets for itself, once and for all of it."""

import asyncio
import gc
import logging

import uvloop

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
