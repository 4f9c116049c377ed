"""An answer that is kept holds what the tail had brought when it was given, however the tables came to it."""

import asyncio
import json
import signal
from typing import Any

import pytest
from starlette.requests import Request

from gateway.reads.read_routes import ReadRoutes
from infra.settings import Settings
from infra.tokens import sign_token
from tests.support.write_sides import open_conversation, send, serving_tables, stored, worker, write_side


def asks(settings: Settings, user_id: int, path: dict[str, Any]) -> Request:
    token = sign_token(settings, user_id)
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return Request(
        {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers, "path_params": path}
    )


async def test_what_comes_while_a_get_waits_for_the_tables_is_in_the_next_answer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, goes_on = asyncio.Event(), asyncio.Event()
    async with write_side(settings) as side, worker(settings) as projections:
        nobody: Any = None
        routes = ReadRoutes(side, nobody)
        await serving_tables(side)
        conversation = await open_conversation(side, 1, 2)
        passed = side.edge.tables.passed

        async def slowly(*positions: Any) -> bool:
            there = await passed(*positions)
            waits.set()
            await goes_on.wait()
            return there

        async def history() -> list[str]:
            answer = await routes.messages(asks(settings, 1, {"id": str(conversation)}))
            return [message["content"] for message in json.loads(bytes(answer.body))["messages"]]

        await send(side, conversation, 1, "one")
        await stored(side)
        monkeypatch.setattr(side.edge.tables, "passed", slowly)
        side.edge.tables.stored = {}  # so that the GET has to ask for it
        getting = asyncio.ensure_future(history())
        await asyncio.wait_for(waits.wait(), 30)
        projections.send_signal(signal.SIGSTOP)
        try:
            await send(side, conversation, 2, "two")
            goes_on.set()
            assert await getting == ["one"]
        finally:
            projections.send_signal(signal.SIGCONT)
        assert await history() == ["two", "one"]
        assert await history() == ["two", "one"]
