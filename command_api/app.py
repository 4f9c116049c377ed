"""The write side alone, for back ends that only write: `uvicorn --factory command_api.app:create_app`.

Clients get it through the gateway, which mounts the same routes.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from command_api.http import EXCEPTION_HANDLERS
from command_api.routes import WriteRoutes
from command_api.service import WriteSide
from infra.edge import Edge
from infra.settings import load_settings


def create_app() -> Starlette:
    """Return the ASGI application; it connects when its lifespan begins."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        edge = await Edge.connect(load_settings(make_secret=True))
        edge.failed.add_done_callback(_end)
        try:
            app.router.routes.extend(WriteRoutes(WriteSide(edge)).routes())
            await edge.start()
            yield
        finally:
            await edge.stop()

    app = Starlette(exception_handlers=EXCEPTION_HANDLERS, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


def _end(failed: "asyncio.Future[None]") -> None:
    """Ask the server to end, as its supervisor would: an edge that has failed sees nothing of the log any more."""
    if not failed.cancelled() and failed.exception() is not None:
        signal.raise_signal(signal.SIGTERM)
