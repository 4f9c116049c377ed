"""Edges without their HTTP: write sides in the test's own process, on real servers, with a real worker beside them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from command_api.claims import Sent
from command_api.deliver import Deliver, outcome
from command_api.service import WriteSide
from infra.edge import Edge
from infra.settings import Settings
from schemas.requests import OpenConversation, SendMessage
from schemas.topics import CONVERSATIONS

PATIENCE_SECONDS = 30


@asynccontextmanager
async def write_side(settings: Settings, name: str = "edge-1") -> AsyncIterator[WriteSide]:
    """Start an edge under this name and without limits, and stop it afterwards."""
    edge = await Edge.connect(replace(settings, name=name, messages_per_minute=0, reports_per_day=0))
    try:
        side = WriteSide(edge)
        await edge.start()
        yield side
    finally:
        await edge.stop()


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a projection worker as a process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "infra.cli", "worker"),
        env={
            **os.environ,
            "CHAT_HOME": str(settings.home),
            "CHAT_JWT_SECRET": settings.secret(),
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
            "DATABASE_URL": settings.database_url or "",
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)


async def serving_tables(side: WriteSide) -> None:
    """Wait until there are read tables to load conversations from."""

    async def there() -> bool:
        return side.edge.tables.live.schema is not None

    await eventually(there)


async def stored(side: WriteSide) -> None:
    """Wait until the read tables have all that this edge has seen of conversations."""
    positions = {
        partition: at for partition, at in side.edge.tail.positions.items() if partition.topic == CONVERSATIONS
    }

    async def there() -> bool:
        return await side.edge.tables.passed(positions, 1)

    await eventually(there)


def reading(side: WriteSide, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return an event, set, without which an edge reads no more conversations; it holds once another one was read."""
    reader, goes_on = side.edge._readers.conversations, asyncio.Event()
    goes_on.set()
    records = reader.records

    async def wait(**limits: Any) -> Any:
        brought = await records(**limits)
        await goes_on.wait()
        return brought

    monkeypatch.setattr(reader, "records", wait)
    return goes_on


async def open_conversation(side: WriteSide, user_id: int, other_user_id: int) -> int:
    """Open a conversation and return its id."""
    opened = await side.openings.open(OpenConversation(user_id=user_id, other_user_id=other_user_id))
    return opened.known.conversation.id


async def send(side: WriteSide, conversation_id: int, user_id: int, content: str, client_id: str | None = None) -> Sent:
    """Send a message and wait for its outcome."""
    request = SendMessage(conversation_id=conversation_id, user_id=user_id, content=content, client_id=client_id)

    async def command(deliver: Deliver[Sent]) -> None:
        await side.messages.send(request, deliver)

    return await outcome(command)
