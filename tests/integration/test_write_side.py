"""The write side alone, as back ends run it that only write."""

from pathlib import Path

import httpx
import pytest

from command_api.app import create_app
from infra.settings import Settings
from infra.tokens import sign_token
from tests.support.write_sides import eventually, worker


async def test_it_takes_commands_and_has_nothing_to_read(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "CHAT_HOME": str(tmp_path),
        "CHAT_JWT_SECRET": settings.jwt_secret,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
        "DATABASE_URL": settings.database_url or "",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    app = create_app()
    headers = {"Authorization": f"Bearer {sign_token(settings, 0, service=True)}"}
    async with (
        worker(settings),
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as back_end,
    ):
        pair = {"user_id": 1, "other_user_id": 2}

        async def opened() -> bool:
            return (await back_end.post("/chat/conversations", json=pair)).status_code in (200, 201)

        await eventually(opened)  # once the worker has made the read tables
        conversation = (await back_end.post("/chat/conversations", json=pair)).json()["id"]
        message = {"conversation_id": conversation, "user_id": 1, "content": "hello"}
        sent = await back_end.post("/chat/messages", json=message)
        assert (sent.status_code, sent.json()["seq"]) == (201, 1)
        assert (await back_end.get("/chat/conversations", params={"user_id": 1})).status_code == 405
        assert (await back_end.get("/chat/blocked", params={"user_id": 1})).status_code == 404
