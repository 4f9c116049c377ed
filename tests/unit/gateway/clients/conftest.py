"""A server that says what each test wants, and a client of it."""

from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import serve

from gateway.clients import chat_client
from gateway.clients.chat_client import ChatClient
from infra.embedded.ports import free_ports
from tests.support.scripted import Server


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """Clients come back to it at once: pauses have a test of their own."""
    monkeypatch.setattr(chat_client, "FIRST_PAUSE", 0.01)
    (port,) = free_ports(1)
    scripted = Server(f"ws://127.0.0.1:{port}")
    async with serve(scripted.serve, "127.0.0.1", port):
        yield scripted


@pytest.fixture
async def chat(server: Server) -> AsyncIterator[ChatClient]:
    async with ChatClient(server.url, "a token") as client:
        yield client
