"""The write side alone, as back ends run it that only write."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from command_api.app import create_app
from infra.settings import Settings
from infra.tail import Tail
from infra.tokens import sign_token
from tests.support.write_sides import PATIENCE_SECONDS, eventually, worker


@pytest.fixture(autouse=True)
def given(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_HOME", str(tmp_path))
    monkeypatch.setenv("CHAT_JWT_SECRET", settings.secret())
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers or "")
    monkeypatch.setenv("DATABASE_URL", settings.database_url or "")


async def test_it_takes_commands_and_has_nothing_to_read(settings: Settings) -> None:
    app = create_app()
    headers = {"Authorization": f"Bearer {sign_token(settings, 0, service=True)}"}
    async with (
        worker(settings),
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as back_end,
    ):
        pair = {"user_id": 1, "other_user_id": 2}

        answers: list[httpx.Response] = []

        async def opened() -> bool:
            answers.append(await back_end.post("/chat/conversations", json=pair))
            return answers[-1].status_code in (200, 201)

        await eventually(opened)  # once the worker has made the read tables
        message = {"conversation_id": answers[-1].json()["id"], "user_id": 1, "content": "hello"}
        sent = await back_end.post("/chat/messages", json=message)
        assert (sent.status_code, sent.json()["seq"]) == (201, 1)
        assert (await back_end.get("/chat/conversations", params={"user_id": 1})).status_code == 405
        assert (await back_end.get("/chat/blocked", params={"user_id": 1})).status_code == 404
        assert (await back_end.post("/chat/messages/", json=message)).status_code == 404


async def test_it_asks_its_server_to_end_when_the_tail_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    app, told, loop = create_app(), asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    try:
        async with app.router.lifespan_context(app):
            monkeypatch.setattr(Tail, "_take", fail)  # the next record that it reads is a heartbeat
            await asyncio.wait_for(told.wait(), PATIENCE_SECONDS)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
