"""One edge's service from its start to its end: the footing, the write side, the sockets and the reads on it.

It comes up beside a server that listens already (app.py), so it tells when it is ready and when it has failed. What a
process does about either is in cli.py.
"""

import asyncio
import logging

from starlette.routing import BaseRoute

from command_api.routes import WriteRoutes
from command_api.service import WriteSide
from gateway.reads.read_routes import ReadRoutes
from gateway.sockets.live import Live
from infra.edge import Edge
from infra.part import StartError
from infra.retry import until_there
from infra.settings import Settings
from schemas.errors import Unavailable

log = logging.getLogger(__name__)

START_SECONDS = 60.0
"""How long a start tries again while Kafka is away."""

LEAVE_SECONDS = 5.0
"""How long sockets are given to hear that the edge goes away."""


class Service:
    """What the application serves. `failed` ends with the error that must end the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.edge: Edge | None = None
        self._live: Live | None = None
        self.ready = asyncio.Event()
        self._left: asyncio.Task[None] | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> list[BaseRoute]:
        """Bring the edge up, however often that takes within START_SECONDS, and return its routes."""
        try:
            async with asyncio.timeout(START_SECONDS):
                return await until_there(self._attempt, Unavailable)
        except TimeoutError as error:
            raise StartError(f"Kafka could not be used within {START_SECONDS:g} s") from error

    @property
    def leaving(self) -> bool:
        """Whether clients are told to go elsewhere."""
        return self._left is not None

    async def leave(self) -> None:
        """Say good-bye to everybody on a socket; the doors are closed already. Every door asks for it."""
        if self._left is None:
            self._left = asyncio.get_running_loop().create_task(self._say_good_bye())
        await asyncio.wait([self._left], timeout=LEAVE_SECONDS)

    async def stop(self) -> None:
        """Disconnect, in order; `leave` comes first."""
        if self.edge is not None:
            await self.edge.stop()

    def fail(self, error: BaseException) -> None:
        """Give up: the process is to end with this error."""
        if not self.failed.done():
            self.failed.set_exception(error)

    async def _attempt(self) -> list[BaseRoute]:
        edge = await Edge.connect(self._settings)
        try:
            write_side = WriteSide(edge)
            live = Live(write_side)
            routes: list[BaseRoute] = [
                *WriteRoutes(write_side).routes(),
                *ReadRoutes(write_side, live.presence).routes(),
                *live.routes(),
            ]
            await edge.start()
            live.start()
        except BaseException:
            await edge.stop()
            raise
        self.edge, self._live = edge, live
        edge.failed.add_done_callback(self._edge_failed)
        self.ready.set()
        return routes

    async def _say_good_bye(self) -> None:
        try:
            if self._live is not None:
                await self._live.stop()
        except Exception:
            log.exception("the sockets were not closed in order")

    def _edge_failed(self, failed: "asyncio.Future[None]") -> None:
        error = None if failed.cancelled() else failed.exception()
        if error is not None:
            self.fail(error)
