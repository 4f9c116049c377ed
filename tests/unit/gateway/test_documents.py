"""The documents are served to anybody."""

import httpx
import pytest
from starlette.applications import Starlette

from gateway import documents


@pytest.fixture
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Starlette(routes=documents.routes())), base_url="http://test"
    )


@pytest.mark.parametrize(("path", "member"), [("/openapi.json", "openapi"), ("/asyncapi.json", "asyncapi")])
async def test_a_document_is_json(client: httpx.AsyncClient, path: str, member: str) -> None:
    response = await client.get(path)
    assert response.headers["content-type"] == "application/json"
    assert response.json()[member]


async def test_the_page_is_html(client: httpx.AsyncClient) -> None:
    response = await client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text.startswith("<!doctype html>")
