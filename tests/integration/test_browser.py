"""gateway/clients/shared-chat-client.mjs in a real browser: the tabs of one user share one socket, and lose nothing."""

import asyncio
import functools
import http.server
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from infra.settings import Settings
from infra.tokens import sign_token
from tests.support.browser import Browser, Tab, browser, chromium
from tests.support.clients import PATIENCE_SECONDS, Client, clients, new_user
from tests.support.edges import edge_beside
from tests.support.write_sides import worker

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium here")

PAGE = Path(__file__).with_name("tabs.html")
CLIENTS = Path(__file__).parents[2] / "gateway" / "clients"
BEFORE, MEANWHILE, AFTER = 10, 20, 10


class Pages(http.server.SimpleHTTPRequestHandler):
    """What a web server of the application would serve."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the page and the clients; yield where."""
    root = tmp_path_factory.mktemp("pages")
    for file in (PAGE, *CLIENTS.glob("*.mjs")):
        (root / file.name).write_bytes(file.read_bytes())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, directory=root)) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
async def chromium_() -> AsyncIterator[Browser]:
    async with browser() as running:
        yield running


@pytest.fixture(scope="module")
async def edge(module_settings: Settings, pages: str) -> AsyncIterator[str]:
    """An edge at which a user may have one socket: two tabs with a socket each would be refused."""
    allowed = replace(module_settings, allowed_origins=(pages,))
    async with (
        worker(module_settings),
        edge_beside(allowed, messages_per_minute=0, connections_per_user=1) as url,
        clients(module_settings, url) as (back_end,),
    ):
        await back_end.until_tables()
        yield url


Talk = tuple[Client, int, Callable[[], Awaitable[Tab]]]


@pytest.fixture
async def talk(module_settings: Settings, chromium_: Browser, pages: str, edge: str) -> AsyncIterator[Talk]:
    """Ada over HTTP, her conversation with Bob, and how Bob opens one more tab."""
    ada, bob = new_user(), new_user()
    tabs: list[Tab] = []
    given = {"url": edge.replace("http", "ws", 1), "token": sign_token(module_settings, bob, seconds=600), "name": bob}

    async def opened() -> Tab:
        tabs.append(await chromium_.open(f"{pages}/{PAGE.name}#{urlencode(given)}"))
        await tabs[-1].until("window.told !== undefined")
        return tabs[-1]

    async with clients(module_settings, edge, ada) as (alice, back_end):
        yield alice, await back_end.open(ada, bob), opened
    for tab in tabs[1:]:
        await tab.close()


async def seqs(tab: Tab) -> list[int]:
    """Return the messages that a tab was told."""
    found: list[int] = await tab.run("told.message.map((message) => message.seq)")
    return found


@pytest.mark.parametrize("leave", [Tab.close, Tab.crash])
async def test_when_the_tab_with_the_socket_goes_another_goes_on_and_nothing_is_lost_or_doubled(
    talk: Talk, leave: Callable[[Tab], Awaitable[None]]
) -> None:
    alice, conversation, opened = talk
    first = await opened()
    await first.until("told.connected.length === 1")
    second, third = await opened(), await opened()

    async def send(count: int) -> None:
        for _ in range(count):
            await alice.sent(conversation, "hello")

    await send(BEFORE)
    for tab in (first, second, third):
        await tab.until(f"told.message.length >= {BEFORE}")
    assert await seqs(first) == list(range(1, BEFORE + 1))
    sending = asyncio.ensure_future(send(MEANWHILE))
    await leave(first)
    await sending
    await send(AFTER)
    everything = list(range(1, BEFORE + MEANWHILE + AFTER + 1))
    for tab in (second, third):
        await tab.until(f"told.message.length >= {len(everything)}")
        assert await seqs(tab) == everything
        assert await tab.run("told.resync.concat(told.error)") == []
        assert await tab.run("told.connected.filter((frame) => frame.resumed).length") == 1


async def test_what_one_tab_sends_the_other_is_told_in_order_with_what_comes(talk: Talk) -> None:
    alice, conversation, opened = talk
    tabs = [await opened(), await opened()]
    await tabs[0].until("told.connected.length === 1")
    for number in range(1, 21):
        match number % 3:
            case 0:
                await alice.sent(conversation, f"{number}")
            case which:
                sent = await tabs[which - 1].run(f"chat.send({conversation}, '{number}')")
                assert (sent["type"], sent["seq"], sent["content"]) == ("ack", number, str(number))
    for which, tab in enumerate(tabs, start=1):
        theirs = [number for number in range(1, 21) if number % 3 != which]
        await tab.until(f"told.message.length >= {len(theirs)}")
        assert await seqs(tab) == theirs
        assert await tab.run("told.message.map((message) => message.content)") == [str(number) for number in theirs]
        assert await tab.run("told.ack.map((ack) => ack.seq)") == [n for n in range(1, 21) if n % 3 == which]


async def test_a_send_goes_on_when_the_tab_with_the_socket_is_gone_before_it_answered(talk: Talk) -> None:
    alice, conversation, opened = talk
    first = await opened()
    await first.until("told.connected.length === 1")
    second = await opened()
    await second.run(f"window.sent = Promise.all([1, 2, 3].map((n) => chat.send({conversation}, `${{n}}`))); 0")
    await first.crash()
    acks = await second.run("sent")
    assert sorted(ack["seq"] for ack in acks) == [1, 2, 3]
    # A crash of the browser can keep the whole machine busy for longer than a read waits.
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await alice.http.get(f"/chat/conversations/{conversation}/messages")).json()["total"] < 3:
            await asyncio.sleep(0.1)
    assert (await alice.history(conversation))["total"] == 3
    assert await second.run("told.message.length") == 0


async def test_a_user_who_hides_in_one_tab_is_hidden_by_the_next_one_with_the_socket_too(talk: Talk) -> None:
    alice, conversation, opened = talk
    first = await opened()
    await first.until("told.connected.length === 1")
    bob = int(await first.run("told.connected[0].user_id"))
    second = await opened()
    await shown(alice, bob, "online")
    await second.run("chat.show(false)")
    await shown(alice, bob, "offline")
    await first.crash()
    await second.until("told.connected.length === 1")
    await shown(alice, bob, "offline")
    await second.run(f"chat.send({conversation}, 'still here')")
    await shown(alice, bob, "offline")
    await second.run("chat.show(true)")
    await shown(alice, bob, "online")


async def shown(viewer: Client, user: int, status: str) -> None:
    """Wait until the user is shown so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await viewer.http.get(f"/chat/users/{user}/status")).json().get("status") != status:
            await asyncio.sleep(0.1)


async def test_a_refusal_reaches_the_tab_that_asked(talk: Talk) -> None:
    _, _, opened = talk
    first, second = await opened(), await opened()
    for tab in (first, second):
        refused = await tab.run("chat.send(2 ** 53 - 1, 'x').catch((error) => error.code)")
        assert json.dumps(refused) == '"CONVERSATION_NOT_FOUND"'
