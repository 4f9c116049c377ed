"""Is the process alive, and should clients be sent to it? What operators and load balancers ask, without a token."""

import asyncio
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from command_api.http import answer
from gateway.service import Service
from infra.edge import Edge
from schemas.answers import Alive, Readiness, ReadTablesState
from schemas.errors import Unavailable

POSTGRES_SECONDS = 1.0


class Health:
    """The routes `/healthz` and `/readyz`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Return the routes, ready to be mounted."""
        return [Route("/healthz", self.alive), Route("/readyz", self.ready)]

    async def alive(self, _: Request) -> Response:
        """`GET /healthz`: the process answers."""
        return answer(Alive(status="ok"))

    async def ready(self, _: Request) -> Response:
        """`GET /readyz`: 503 until the log was read to its end, and whenever this edge does not hear itself in it."""
        edge, leaving = self._service.edge, self._service.leaving
        if edge is None:
            return _told(Readiness(ready=False, log="starting", read_tables=_tables("unknown")))
        ready = edge.hears_itself and not leaving
        state: Literal["ok", "away", "leaving"] = "leaving" if leaving else "ok" if ready else "away"
        return _told(Readiness(ready=ready, log=state, read_tables=await _read_tables(edge)))


def _told(content: Readiness) -> Response:
    return answer(content) if content.ready else answer(content, 503, {"Retry-After": "1"})


async def _read_tables(edge: Edge) -> ReadTablesState:
    """Tell how far the read tables are behind this edge's tail."""
    try:
        async with asyncio.timeout(POSTGRES_SECONDS):
            stored = await edge.tables.positions()
    except (Unavailable, TimeoutError):
        return _tables("away")
    behind = sum(
        max(0, end - stored[partition]) for partition, end in edge.tail.positions.items() if partition in stored
    )
    return ReadTablesState(state="ok", generation=edge.tables.live.schema, records_behind=behind)


def _tables(state: Literal["away", "unknown"]) -> ReadTablesState:
    return ReadTablesState(state=state, generation=None, records_behind=None)
