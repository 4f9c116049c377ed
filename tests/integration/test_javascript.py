"""The JavaScript clients against a real edge, in Node: one resumes and sends once, the other is shared between tabs."""

import asyncio
import contextlib
import json
import shutil
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.tokens import sign_token
from tests.support.clients import clients, new_user
from tests.support.edges import edge_beside
from tests.support.write_sides import worker

SCRIPT = Path(__file__).with_name("talk.mjs")
COUNT = 60
PATIENCE_SECONDS = 60


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
async def test_what_two_users_say_arrives_once_and_in_order_whatever_is_cut(module_settings: Settings) -> None:
    ada, bob, others = new_user(), new_user(), (new_user(), new_user())
    async with (
        worker(module_settings),
        edge_beside(module_settings, messages_per_minute=0) as url,
        clients(module_settings, url) as (back_end,),
    ):
        await back_end.until_tables()
        given = {
            "url": url.replace("http", "ws", 1),
            "tokens": [sign_token(module_settings, user, seconds=600) for user in (ada, bob)],
            "conversation": await back_end.open(ada, bob),
            "stranger": await back_end.open(*others),
            "count": COUNT,
        }
        node = await asyncio.create_subprocess_exec(
            *("node", "--experimental-websocket", "--no-warnings", str(SCRIPT), json.dumps(given)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                printed, _ = await node.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                node.kill()
            await node.wait()
    assert node.returncode == 0
    told = json.loads(printed)
    assert told["acks"] == told["received"] == list(range(1, COUNT + 1))
    assert told["reply"] == COUNT + 1
    assert told["refused"] == "FORBIDDEN"
    assert told["reconnects"] > 3
    assert told["uncaught"] == ["a handler that fails"], "and the client went on"
