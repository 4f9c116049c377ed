"""`chat edge`: one process that clients connect to.

Ends with status 0 when it is told to stop, and with 1 and one line when it cannot start or its tail fails.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable

import click
import uvloop

from gateway.app import create_app
from gateway.doors import Door, bind, config
from infra.logs import configure_logs
from infra.settings import Settings, load_settings

log = logging.getLogger(__name__)

TIDY_SECONDS = 300


@click.command()
def edge() -> None:
    """Serve clients: HTTP and sockets on CHAT_PORT."""
    try:
        settings = load_settings(make_secret=True)
        configure_logs(settings.log_format)
        uvloop.run(serve(settings))
    except Exception as error:
        log.debug("the edge ends", exc_info=error)
        raise click.ClickException(f"the edge ends: {str(error) or type(error).__name__}") from error


async def serve(settings: Settings) -> None:
    """Serve until a signal, or until the edge fails: then that error is raised, once what can be ended is.

    An address that edges share gets this one's clients only when it is ready; its own answers from the start.
    """
    told = _told_to_stop()
    own = bind(settings.host, settings.own_port or settings.port, shared=False)
    shared = bind(settings.host, settings.port, shared=True) if settings.own_port else None
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        service = app.state.service
        doors = [Door(config(app, settings), service.leave)]
        serving = [asyncio.ensure_future(doors[0].serve([own]))]
        tidying = asyncio.ensure_future(_tidy(service.ready))
        try:
            await _first(service.ready.wait(), told.wait(), service.failed, *serving)
            if shared is not None and service.ready.is_set():
                doors.append(Door(config(app, settings), service.leave))
                serving.append(asyncio.ensure_future(doors[1].serve([shared])))
            await _first(told.wait(), service.failed, *serving)
        finally:
            tidying.cancel()
            for door in doors:
                door.should_exit = True
            await asyncio.gather(*serving)
        if service.failed.done():
            service.failed.result()


async def _tidy(ready: asyncio.Event) -> None:
    """Look for circles of garbage at set times only, and only among what was made since.

    An edge hardly makes any: what it keeps lives long, and a socket that ends is freed at once. Looking whenever much
    was made stopped everybody for up to a quarter of a second, and looking at all of it for longer still.
    """
    await ready.wait()
    gc.disable()
    try:
        while True:
            gc.collect()
            gc.freeze()
            await asyncio.sleep(TIDY_SECONDS)
    finally:
        gc.enable()


def _told_to_stop() -> asyncio.Event:
    """Return what SIGTERM and SIGINT set."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


async def _first(*awaited: Awaitable[object]) -> None:
    """Wait until one of these is done."""
    await asyncio.wait([asyncio.ensure_future(one) for one in awaited], return_when=asyncio.FIRST_COMPLETED)
