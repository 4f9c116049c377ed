"""Brokers and Postgres killed and stopped while clients talk at two edges: sends, live delivery, and the tables after.

One system of three brokers serves all of these; in the end of each the tables are held against the log by the
independent reader.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from infra.postgres import wait_for_database
from schemas import topics
from tests.faults import FULL, scaled
from tests.projecting import assert_as_the_log
from tests.support.clients import Client, Socket, clients, new_user
from tests.support.system import System, start_system

PAIRS = 8
SETTLE_SECONDS = 60


@pytest.fixture(scope="module")
async def cluster() -> AsyncIterator[System]:
    """Three brokers, two edges without caches, a worker."""
    async with start_system(
        "--brokers", "3", "--edges", "2", CHAT_PARTITIONS="2", CHAT_MESSAGES_PER_MINUTE="0", CHAT_CACHES="0"
    ) as started:
        yield started


class Talk:
    """One user sends at one edge, the other listens at another. What is refused is sent again with its client_id."""

    def __init__(self, sender: Client, reader: Client, socket: Socket, conversation: int) -> None:
        self.conversation = conversation
        self.sender = sender
        self.reader = reader
        self.acknowledged: list[int] = []
        self.refused = 0
        self._socket = socket
        self._acked = asyncio.Condition()

    async def send(self, stop: asyncio.Event) -> None:
        """Send one after the other until told to stop; the last one too is sent until it is taken."""
        while not stop.is_set():
            number = len(self.acknowledged) + 1
            answer = await self._taken(f"message {number}")
            async with self._acked:
                self.acknowledged.append(answer.json()["message_id"])
                self._acked.notify_all()
            await asyncio.sleep(0.05)

    async def goes_on(self, count: int = 2) -> None:
        """Wait until so many more were acknowledged: the first of them may have been before."""
        wanted = len(self.acknowledged) + count
        async with self._acked:
            await self._acked.wait_for(lambda: len(self.acknowledged) >= wanted)

    async def _taken(self, content: str) -> httpx.Response:
        while True:
            answer = await self.sender.send(self.conversation, content, client_id=content)
            if answer.status_code == 201:
                return answer
            unavailable(answer)
            self.refused += 1
            await asyncio.sleep(0.1)

    async def arrived(self) -> None:
        """Each acknowledged message was delivered once and in order, and no other was."""
        await self._socket.until("message", len(self.acknowledged), conversation_id=self.conversation)
        assert self.delivered() == self.acknowledged

    def delivered(self) -> list[int]:
        """Return what the other's socket was sent."""
        return [frame["message_id"] for frame in self._socket.of("message", conversation_id=self.conversation)]

    async def history(self) -> list[int]:
        """Return the ids of all messages, the oldest first."""
        found: list[int] = []
        while True:
            place = {"after_seq": len(found), "before_seq": len(found) + 101}
            page = await self.reader.history(self.conversation, limit=100, **place)
            if not page["messages"]:
                return found
            found += [message["id"] for message in reversed(page["messages"])]


def unavailable(answer: httpx.Response) -> None:
    """Hold an answer to what a client is told while a server is away."""
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE"), answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= 60


@asynccontextmanager
async def talks(system: System) -> AsyncIterator[list[Talk]]:
    """Bring pairs into conversation, each user at another edge."""
    made = []
    async with AsyncExitStack() as stack:
        for number in range(PAIRS):
            ada, bob = new_user(), new_user()
            here, there = system.edges[number % 2], system.edges[1 - number % 2]
            alice, back_end = await stack.enter_async_context(clients(system.settings, here, ada))
            bert, _ = await stack.enter_async_context(clients(system.settings, there, bob))
            await back_end.until_tables()
            conversation = await back_end.open(ada, bob)
            socket = await stack.enter_async_context(bert.socket())
            made.append(Talk(alice, bert, socket, conversation))
        yield made
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.gather(*(talk.arrived() for talk in made))
        await assert_as_the_log(system.settings)
        for talk in made:
            assert await talk.history() == talk.acknowledged


@asynccontextmanager
async def going_on(made: Sequence[Talk]) -> AsyncIterator[None]:
    """Let all of them send while the block runs; at its end everything sent was acknowledged."""
    stop = asyncio.Event()
    sending = [asyncio.ensure_future(talk.send(stop)) for talk in made]
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.gather(*(talk.goes_on() for talk in made))
        yield
        stop.set()
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.gather(*sending)
    finally:
        for one in sending:
            one.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


async def described(system: System) -> list[dict[str, Any]]:
    """Return the partitions of the conversations' topic, each with its leader and who is in sync."""
    admin = AIOKafkaAdminClient(**system.settings.kafka_options())
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([topics.CONVERSATIONS])
    finally:
        await admin.close()
    return list(topic["partitions"])


async def all_in_sync(system: System) -> None:
    """Wait until every partition is on all three brokers."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while any(len(partition["isr"]) < 3 for partition in await described(system)):
            await asyncio.sleep(0.2)


async def until_given_up(system: System) -> None:
    """Wait until no partition counts on all three brokers; the one that is stopped may be who is asked."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while True:
            with suppress(KafkaError):
                if all(len(partition["isr"]) < 3 for partition in await described(system)):
                    return
            await asyncio.sleep(0.2)


def broker(system: System, node: int) -> int:
    return system.part(f"kafka-{node}").pid


@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGKILL, 15), (signal.SIGSTOP, 60)][: scaled(1, 2)])
async def test_the_leader_of_three_brokers_goes_under_load(
    cluster: System, number: signal.Signals, seconds: float
) -> None:
    """5: no acknowledged send is lost, and sends resume unaided; one that is stopped has to be given up first."""
    async with talks(cluster) as made, going_on(made):
        for _ in range(scaled(1, 3)):
            await all_in_sync(cluster)
            pid = broker(cluster, (await described(cluster))[0]["leader"])
            os.kill(pid, number)
            try:
                async with asyncio.timeout(seconds):
                    await asyncio.gather(*(talk.goes_on() for talk in made))
            finally:
                if number == signal.SIGSTOP:
                    os.kill(pid, signal.SIGCONT)


async def test_too_few_replicas_in_sync_refuse_and_acknowledge_nothing(cluster: System) -> None:
    """6: what was refused may be in the log all the same; sent again it is there once."""
    await all_in_sync(cluster)
    async with talks(cluster) as made:
        async with going_on(made):
            pass
        before = [len(talk.acknowledged) for talk in made]
        pids = [broker(cluster, node) for node in (1, 2)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(scaled(1, 5)):
                await refuse_next(made)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        async with going_on(made):
            pass
        assert all(len(talk.acknowledged) > count for talk, count in zip(made, before, strict=True))


@pytest.mark.skipif(not FULL, reason="make faults: it takes until a broker is given up")
async def test_a_log_that_wants_more_replicas_than_are_in_sync_takes_nothing(cluster: System) -> None:
    """6: the brokers answer, and what they answer is NOT_ENOUGH_REPLICAS."""
    await all_in_sync(cluster)
    async with talks(cluster) as made:
        async with going_on(made):
            pass
        pid = broker(cluster, 3)
        await want_in_sync(cluster, 3)
        os.kill(pid, signal.SIGSTOP)
        try:
            await until_given_up(cluster)
            await refuse_next(made)
        finally:
            os.kill(pid, signal.SIGCONT)
            await want_in_sync(cluster, 2)
        async with going_on(made):
            pass


async def refuse_next(made: Sequence[Talk]) -> None:
    """Send the message that each talk would send next: it is refused, and nobody is told of it."""
    before = [len(talk.acknowledged) for talk in made]
    contents = [f"message {count + 1}" for count in before]
    answers = await asyncio.gather(
        *(
            talk.sender.send(talk.conversation, content, client_id=content)
            for talk, content in zip(made, contents, strict=True)
        )
    )
    for answer in answers:
        unavailable(answer)
    assert [len(talk.delivered()) for talk in made] == before


async def want_in_sync(system: System, replicas: int) -> None:
    """Have so many replicas take a message before it counts as written."""
    configs = {**topics.BY_NAME[topics.CONVERSATIONS].config(flush=False), "min.insync.replicas": str(replicas)}
    admin = AIOKafkaAdminClient(**system.settings.kafka_options())
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.CONVERSATIONS, configs)])
    finally:
        await admin.close()


def postgres(system: System, number: signal.Signals) -> None:
    """Send a signal to the server and to all that serve connections."""
    server = psutil.Process(system.part("postgres").pid)
    for process in (server, *server.children(recursive=True)):
        process.send_signal(number)


async def refuse_reads(talk: Talk) -> None:
    """Read what only Postgres knows."""
    history = f"/chat/conversations/{talk.conversation}/messages"
    lists = f"/chat/conversations?user_id={talk.reader.user}"
    async with asyncio.timeout(12):
        for answer in await asyncio.gather(*(talk.reader.http.get(path) for path in (history, lists))):
            unavailable(answer)


async def test_without_postgres_sends_and_live_delivery_go_on(cluster: System) -> None:
    """4: between conversations in memory; reads answer 503 with Retry-After, and everything is right after."""
    await all_in_sync(cluster)
    async with talks(cluster) as made:
        async with going_on(made):
            postgres(cluster, signal.SIGSTOP)
            try:
                until = asyncio.get_running_loop().time() + scaled(5, 60)
                while asyncio.get_running_loop().time() < until:
                    await asyncio.gather(*(refuse_reads(talk) for talk in made))
                    await asyncio.gather(*(talk.goes_on(10) for talk in made))
                sent = [len(talk.acknowledged) for talk in made]
                await asyncio.gather(*(talk.goes_on() for talk in made))
                assert all(len(talk.delivered()) >= count for talk, count in zip(made, sent, strict=True))
            finally:
                postgres(cluster, signal.SIGCONT)
        async with going_on(made):
            for _ in range(scaled(1, 3)):  # after five in a row its supervisor gives up
                os.kill(cluster.part("postgres").pid, signal.SIGKILL)
                await asyncio.gather(*(talk.goes_on(10) for talk in made))
                await wait_for_database(cluster.database_url)
        assert sum(talk.refused for talk in made) == 0
