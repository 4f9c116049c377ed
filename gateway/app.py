"""The gateway as an ASGI application: what an edge process serves to clients.

It listens from the start and answers 503 until the edge has come up (service.py); after that every route is there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from command_api.http import EXCEPTION_HANDLERS, failure
from gateway import documents
from gateway.health import Health
from gateway.service import Service
from infra.settings import Settings
from schemas.errors import ChatError, Code, Unavailable

log = logging.getLogger(__name__)


def create_app(settings: Settings) -> Starlette:
    """Return the application; the edge comes up when its lifespan begins, which `app.state.service` tells."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.service = service = Service(settings)
        app.router.routes.extend([*Health(service).routes(), *documents.routes()])
        starting = asyncio.ensure_future(_bring_up(app, service))
        try:
            yield
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await service.stop()

    app = Starlette(exception_handlers=EXCEPTION_HANDLERS, lifespan=lifespan)
    app.router.redirect_slashes = False
    if settings.allowed_origins:
        # Around everything: as a `middleware` it would be inside of what answers 500, which a browser could not read.
        app.middleware_stack = _cors(app.build_middleware_stack(), settings)
    return app


async def _bring_up(app: Starlette, service: Service) -> None:
    app.router.default = _not_ready
    try:
        routes = await service.start()
    except Exception as error:  # noqa: BLE001 - handed on to the process, which ends
        service.fail(error)
    else:
        app.router.routes.extend(routes)
        app.router.default = _not_found


async def _not_ready(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer everything, sockets too, while there are no routes yet."""
    await failure(Unavailable("this edge is starting"))(scope, receive, send)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what no route is for; Starlette itself has no words for sockets."""
    await failure(ChatError(Code.NOT_FOUND, "Not Found"))(scope, receive, send)


def _cors(app: ASGIApp, settings: Settings) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=settings.allowed_origins,
        allow_methods=("GET", "POST", "PUT", "DELETE"),
        allow_headers=("authorization", "content-type", "idempotency-key", "chat-after", "traceparent"),
        expose_headers=("chat-position", "chat-stale", "retry-after", "www-authenticate"),
        max_age=3_600,
    )
