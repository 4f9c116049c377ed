"""The application before its edge is up, and what it says to browsers from elsewhere."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.app import create_app
from infra.embedded.ports import free_ports
from infra.settings import load_settings

ORIGIN = "https://app.example"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The application of an edge whose Kafka is away."""
    (nobody,) = free_ports(1)
    given = {
        "CHAT_HOME": str(tmp_path),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{nobody}",
        "DATABASE_URL": f"postgresql://127.0.0.1:{nobody}/chat",
        "CHAT_ALLOWED_ORIGINS": ORIGIN,
    }
    app = create_app(load_settings(given, discover=False))
    app.router.routes.append(Route("/broken", _fail))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


async def _fail(_: Request) -> Response:
    raise ZeroDivisionError("a bug")


async def test_the_process_is_alive(client: httpx.AsyncClient) -> None:
    response = await client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_it_is_not_ready_and_says_why(client: httpx.AsyncClient) -> None:
    response = await client.get("/readyz")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json() == {
        "ready": False,
        "log": "starting",
        "read_tables": {"state": "unknown", "generation": None, "records_behind": None},
    }


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/chat/conversations"), ("POST", "/chat/messages"), ("GET", "/nowhere")]
)
async def test_everything_else_is_to_be_tried_again(client: httpx.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path)
    assert response.status_code == 503
    assert response.json()["code"] == "SERVICE_UNAVAILABLE"
    assert response.headers["retry-after"] == "1"


async def test_the_documents_are_there(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).status_code == 200


async def test_a_browser_from_an_allowed_origin_may_ask_with_a_token_and_read_our_headers(
    client: httpx.AsyncClient,
) -> None:
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,idempotency-key,chat-after",
    }
    preflight = await client.options("/chat/messages", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    response = await client.get("/healthz", headers={"origin": ORIGIN})
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "chat-position" in response.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    ("path", "expected"), [("/broken", (500, "INTERNAL_ERROR")), ("/nowhere", (503, "SERVICE_UNAVAILABLE"))]
)
async def test_a_browser_may_read_errors_too(client: httpx.AsyncClient, path: str, expected: tuple[int, str]) -> None:
    response = await client.get(path, headers={"origin": ORIGIN})
    assert (response.status_code, response.json()["code"]) == expected
    assert response.headers["access-control-allow-origin"] == ORIGIN


async def test_another_origin_gets_no_permission(client: httpx.AsyncClient) -> None:
    response = await client.get("/healthz", headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in response.headers
