"""Another generation is promoted and rolled back while clients of an edge read and send; none of them can tell."""

import asyncio

from tests.faults import scaled
from tests.support.clients import Client, clients, new_user
from tests.support.system import chat, start_system

READERS, READS_PER_SECOND = 10, 200
SENDS_PER_SECOND = 50
TIMES = scaled(1, 5)


async def read_on(client: Client, conversation: int, totals: list[int], stop: asyncio.Event) -> None:
    """A read may be told that it is stale where the machine is slow; it may not fail, nor go back."""
    while not stop.is_set():
        answer = await client.http.get(f"/chat/conversations/{conversation}/messages", params={"limit": 1})
        assert answer.status_code == 200, answer.text
        totals.append(answer.json()["total"])
        await asyncio.sleep(READERS / READS_PER_SECOND)


async def send_on(client: Client, conversation: int, sent: list[int], stop: asyncio.Event) -> None:
    while not stop.is_set():
        sent.append((await client.sent(conversation, f"number {len(sent)}"))["message_id"])
        await asyncio.sleep(1 / SENDS_PER_SECOND)


async def test_a_promotion_fails_no_read_and_takes_none_back_in_time() -> None:
    """8, through an edge that keeps no answers."""
    async with start_system(CHAT_PARTITIONS="2", CHAT_MESSAGES_PER_MINUTE="0", CHAT_CACHES="0") as system:
        ada, bob = new_user(), new_user()
        async with clients(system.settings, system.url, ada, bob) as (alice, bert, back_end):
            await back_end.until_tables()
            conversation = await back_end.open(ada, bob)
            totals: list[list[int]] = [[] for _ in range(READERS)]
            sent: list[int] = []
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as going_on:
                for seen in totals:
                    going_on.create_task(read_on(bert, conversation, seen, stop))
                going_on.create_task(send_on(alice, conversation, sent, stop))
                for number in range(TIMES):
                    status, said = await chat(system, "rebuild")
                    assert status == 0, said
                    assert f"generation {number + 2} is live" in said
                status, said = await chat(system, "generations", "rollback")
                assert status == 0, said
                async with asyncio.timeout(60):  # however slow the machine
                    while any(len(seen) <= 20 for seen in totals):
                        await asyncio.sleep(0.05)
                stop.set()
            assert all(seen == sorted(seen) and len(seen) > 20 for seen in totals)
            history = await alice.history(conversation, limit=200)
            assert [message["id"] for message in reversed(history["messages"])] == sent[-200:]
            assert history["total"] == len(sent)
