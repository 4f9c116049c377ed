import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from infra.embedded.ports import LOOPBACK, free_ports
from infra.http_client import Answer, ask, wait_until_ready


class Service:
    """Answers as an edge does, not ready at first."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0

    async def readyz(self, _: Request) -> Response:
        self.asked += 1
        return JSONResponse({"ready": self.asked > 2}, 200 if self.asked > 2 else 503)

    async def echo(self, request: Request) -> Response:
        return JSONResponse({"token": request.headers.get("authorization"), "content": await request.json()}, 201)

    async def text(self, _: Request) -> Response:
        return PlainTextResponse("hello")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    routes = [
        Route("/readyz", service.readyz),
        Route("/echo", service.echo, methods=["POST"]),
        Route("/text", service.text),
    ]
    (port,) = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_config=None))
    running = asyncio.ensure_future(server.serve())
    service.url = f"http://{LOOPBACK}:{port}"
    yield service
    server.should_exit = True
    await running


async def test_it_waits_until_the_edge_is_ready_from_before_it_listens(service: Service) -> None:
    async with asyncio.timeout(10):
        await wait_until_ready(service.url)
    assert service.asked == 3


async def test_it_sends_a_token_and_json_and_returns_status_and_json(service: Service) -> None:
    await wait_until_ready(service.url)
    answer = await ask("POST", f"{service.url}/echo", token="t", content={"a": 1})
    assert answer == Answer(201, {"token": "Bearer t", "content": {"a": 1}})
    assert await ask("GET", f"{service.url}/text") == Answer(200, None)


async def test_nobody_there_is_an_error_of_the_system() -> None:
    (port,) = free_ports(1)
    with pytest.raises(OSError, match="refused"):
        await ask("GET", f"http://{LOOPBACK}:{port}/")
