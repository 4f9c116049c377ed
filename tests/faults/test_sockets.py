"""Clients cut at random while edges are rolled: in the end each has seen what the history says, once and in order."""

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect

from gateway.clients.chat_client import ChatClient, Frame
from tests.faults import scaled
from tests.support.clients import Client, clients, new_user
from tests.support.system import System, start_system

PAIRS = 100
SETTLE_SECONDS = 60
MOST_GROWN = 16 * 1024 * 1024


class Talker:
    """One user with the real client: sends now and then, and keeps what came."""

    def __init__(self, system: System, user: int) -> None:
        self.user = user
        self.chat = ChatClient(system.url.replace("http", "ws", 1), lambda: system.token(user))
        self.received: list[Frame] = []
        self.acked: list[int] = []
        self.connects: list[Frame] = []
        self.resyncs: list[Frame] = []
        self.chat.on("message", self.received.append)
        self.chat.on("connected", self.connects.append)
        self.chat.on("resync", self.resyncs.append)

    async def talk(self, conversation: int, seconds: float) -> None:
        """Send until the time is over, and wait for each message to be taken."""
        deadline = asyncio.get_running_loop().time() + seconds
        number = 0
        while asyncio.get_running_loop().time() < deadline:
            number += 1
            sent = await self.chat.send(conversation, f"message {number} of {self.user}")
            self.acked.append(sent["message_id"])
            await asyncio.sleep(random.uniform(0, 1))

    def cut(self) -> None:
        """Lose the connection without a word, if there is one."""
        connection = self.chat._connection
        if connection is not None:
            connection.transport.abort()


@pytest.fixture(scope="module")
async def two_edges() -> AsyncIterator[System]:
    async with start_system("--edges", "2", CHAT_PARTITIONS="2", CHAT_MESSAGES_PER_MINUTE="0") as started:
        yield started


@asynccontextmanager
async def going_on(*disturbances: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let these happen while the block runs."""
    tasks = [asyncio.ensure_future(one) for one in disturbances]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


async def keep_cutting(talkers: list[Talker]) -> None:
    """Cut somebody, about ten times a second."""
    while True:
        await asyncio.sleep(random.uniform(0, 0.2))
        random.choice(talkers).cut()


async def keep_rolling(system: System, every: float) -> None:
    """End one edge after the other, in order or without a word, or let it stand still for longer than it may.

    The supervisor starts again what has ended.
    """
    for number in range(1_000_000):
        await asyncio.sleep(every)
        how = (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP)[number % 3]
        with suppress(psutil.NoSuchProcess, KeyError):
            edge = psutil.Process(system.part(f"edge-{number % 2 + 1}").pid)
            edge.send_signal(how)
            if how is signal.SIGSTOP:
                try:
                    await asyncio.sleep(scaled(2, 20))
                finally:
                    edge.send_signal(signal.SIGCONT)


async def history_of(client: Client, conversation: int) -> list[Frame]:
    """Return everything that was said, oldest first."""
    found: list[Frame] = []
    while True:
        after = found[-1]["seq"] if found else 0
        page = (await client.history(conversation, after_seq=after, before_seq=after + 101, limit=100))["messages"]
        if not page:
            return found
        found += reversed(page)


async def all_received(pairs: list[tuple[Talker, Talker]]) -> None:
    """Wait until everybody has as many messages as the other got acknowledged."""
    async with asyncio.timeout(SETTLE_SECONDS):
        for one, other in pairs:
            while len(one.received) < len(other.acked) or len(other.received) < len(one.acked):
                await asyncio.sleep(0.05)


async def test_two_hundred_clients_cut_at_random_while_edges_are_rolled(two_edges: System) -> None:
    """12 and 13: nothing is missed, nothing comes twice, everything in order."""
    system, seconds = two_edges, scaled(20, 120)
    async with AsyncExitStack() as stack:
        (back_end,) = await stack.enter_async_context(clients(system.settings, system.url))
        pairs, conversations = [], []
        for _ in range(PAIRS):
            one, other = Talker(system, new_user()), Talker(system, new_user())
            conversations.append(await back_end.open(one.user, other.user))
            pairs.append((one, other))
        talkers = [talker for pair in pairs for talker in pair]
        for talker in talkers:
            await stack.enter_async_context(talker.chat)
        async with asyncio.timeout(30):
            await asyncio.gather(*(talker.chat.online.wait() for talker in talkers))
        async with going_on(keep_cutting(talkers), keep_rolling(system, scaled(6, 15))):
            talking = zip(pairs, conversations, strict=True)
            await asyncio.gather(*(talker.talk(number, seconds) for pair, number in talking for talker in pair))
        await all_received(pairs)
        await asyncio.sleep(1)  # whatever came twice would come now
        for (one, other), conversation in zip(pairs, conversations, strict=True):
            async with clients(system.settings, system.url, one.user) as (reader, _):
                history = await history_of(reader, conversation)
            for talker in (one, other):
                theirs = [message["id"] for message in history if message["sender_id"] != talker.user]
                own = [message["id"] for message in history if message["sender_id"] == talker.user]
                assert [frame["message_id"] for frame in talker.received] == theirs
                assert talker.acked == own
                assert talker.resyncs == []
        reconnects = sum(len(talker.connects) for talker in talkers) - len(talkers)
        assert reconnects > 4 * seconds, "that was no chaos"


async def test_memory_is_bounded_while_one_never_reads_and_another_sends_at_full_speed(two_edges: System) -> None:
    """12: the edge with the silent reader needs little more than the one without, which remembers the same log."""
    system, count, content = two_edges, scaled(8_000, 80_000), "x" * 4_000
    ada, bob = new_user(), new_user()
    edges = [psutil.Process(system.part(f"edge-{number}").pid) for number in (1, 2)]
    async with (
        clients(system.settings, system.edges[1], ada) as (alice, back_end),
        alice.socket(compression=None) as hers,
    ):
        conversation = await back_end.open(ada, bob)
        before = [edge.memory_info().rss for edge in edges]
        deaf = asyncio.ensure_future(never_read(system, bob))
        for number in range(count):
            await hers.tell("message", conversation_id=conversation, content=content, client_id=str(number))
            if number >= 200:
                await hers.until_so(lambda: hers.frames)
                hers.frames.pop(0)
        await hers.tell("ping", ref="end")
        await hers.until("pong", ref="end")
        deaf.cancel()
        await asyncio.gather(deaf, return_exceptions=True)
    grown = [edge.memory_info().rss - was for edge, was in zip(edges, before, strict=True)]
    assert grown[0] - grown[1] < MOST_GROWN


async def never_read(system: System, user: int) -> None:
    """Connect at the first edge and read nothing but the first frames, which name a cursor; again when it is closed."""
    query = ""
    while True:
        url = f"{system.edges[0].replace('http', 'ws', 1)}/chat/connect?token={system.token(user)}{query}"
        async with connect(url, max_queue=1, compression=None) as connection:
            query = f"&cursor={json.loads(await connection.recv())['cursor']}"
            await connection.wait_closed()
