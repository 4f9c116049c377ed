"""Where clients come in: an address that edges may share, one of an edge's own, and the servers behind them.

Everything uvicorn is told is here. What is served is in app.py.
"""

import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from gateway.sockets.wire import uvicorn_options
from infra.part import StartError
from infra.settings import Settings

BACKLOG = 2_048
DRAIN_SECONDS = 5
"""How long requests under way are given to end."""


class Door(uvicorn.Server):
    """One listening address; whoever runs it handles the signals. `leave` is called before connections are closed."""

    def __init__(self, config: uvicorn.Config, leave: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._leave = leave

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nobody in any more, let the application say good-bye, and close what is left."""
        for server in self.servers:
            server.close()
        await self._leave()
        await super().shutdown(sockets)


def config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return how connections are served; the application's lifespan is for whoever opens the doors."""
    return uvicorn.Config(
        app,
        lifespan="off",
        loop="none",
        **uvicorn_options(settings),
        # Both would write a socket's address with its token.
        access_log=False,
        log_level="warning",
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """Take an address without listening yet; StartError when it cannot be had."""
    try:
        return _bound(host, port, shared=shared)
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
