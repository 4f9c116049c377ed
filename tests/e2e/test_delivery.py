"""What is acknowledged is found, delivered once and in order, whoever asks and however often it is tried."""

import asyncio

from schemas.events import AsOf, MessageSent
from tests.support.clients import Frame, Socket, clients, new_user
from tests.support.edges import edge_beside
from tests.support.foreign import append_event
from tests.support.system import System

MANY = 1_000
PAIRS = 5
"""Of users who talk at once."""


async def test_a_message_that_was_just_posted_is_in_the_history_a_thousand_times(system: System) -> None:
    async def talk(count: int) -> None:
        ada, bob = new_user(), new_user()
        async with clients(system.settings, system.url, ada, bob) as (alice, bert, back_end):
            conversation = await back_end.open(ada, bob)
            for number in range(1, count + 1):
                sender = (alice, bert)[number % 2]
                sent = await sender.sent(conversation, f"message {number}")
                [newest] = (await sender.history(conversation, limit=1))["messages"]
                assert (newest["id"], newest["seq"]) == (sent["message_id"], number)
            assert (await alice.list())["conversations"][0]["last_message"] == f"message {count}"

    await asyncio.gather(*(talk(MANY // PAIRS) for _ in range(PAIRS)))


async def test_a_position_makes_another_edge_wait_too(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with (
        edge_beside(system.settings) as beside,
        clients(system.settings, beside, ada) as (elsewhere, _),
        clients(system.settings, system.url, ada, bob) as (alice, _, back_end),
    ):
        conversation = await back_end.open(ada, bob)
        for number in range(1, 51):
            response = await alice.send(conversation, f"message {number}")
            headers = {"Chat-After": response.headers["chat-position"]}
            found = await elsewhere.http.get(f"/chat/conversations/{conversation}/messages", headers=headers)
            assert found.json()["total"] == number
            assert "chat-stale" not in found.headers


async def test_a_foreign_record_in_another_partition_than_its_keys_takes_nothing_away(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with clients(system.settings, system.url, ada, bob) as (alice, bert, back_end):
        conversation = await back_end.open(ada, bob)
        first = await alice.sent(conversation, "first")
        partition, offset = map(int, first["position"].split(":"))
        foreign = MessageSent(
            message_id=2**53 - 3,
            conversation_id=conversation,
            sender_id=ada,
            recipient_id=bob,
            content="foreign",
            content_type="text",
            client_id="foreign",
            sent_at=first["sent_at"],
            as_of=AsOf(offset + 1, 1),
        )
        # So often, because a position in one partition says nothing in another.
        elsewhere = (partition + 1) % system.settings.partitions
        last = await append_event(system.settings, foreign, partition=elsewhere, times=100)
        await bert.http.get("/chat/conversations", params={"user_id": bob}, headers={"Chat-After": last})
        second = await alice.sent(conversation, "second")
        assert second["seq"] == 2
        history = await bert.history(conversation)
        assert [message["content"] for message in history["messages"]] == ["second", "first"]
        assert (await bert.list())["conversations"][0]["unread_count"] == 2


async def test_a_thousand_messages_over_two_sockets_arrive_once_and_in_order(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with (
        clients(system.settings, system.url, ada, bob) as (alice, bert, back_end),
        alice.socket() as hers,
        bert.socket() as his,
    ):
        conversation = await back_end.open(ada, bob)

        async def talk(socket: Socket, name: str) -> None:
            for number in range(MANY // 2):
                await socket.tell(
                    "message", conversation_id=conversation, content=f"{name} {number}", client_id=f"{name}-{number}"
                )

        await asyncio.gather(talk(hers, "ada"), talk(his, "bob"))
        acks = {
            ada: await hers.until("ack", MANY // 2),
            bob: await his.until("ack", MANY // 2),
        }
        arrived = {
            ada: await hers.until("message", MANY // 2),
            bob: await his.until("message", MANY // 2),
        }
        history: list[Frame] = []
        while len(history) < MANY:
            before = {"before_seq": history[-1]["seq"]} if history else {}
            page = await alice.history(conversation, limit=200, **before)
            assert page["total"] == MANY
            history += page["messages"]
        assert [one["seq"] for one in history] == list(range(MANY, 0, -1))
        for user, other, name in ((ada, bob, "ada"), (bob, ada, "bob")):
            own = [one for one in reversed(history) if one["sender_id"] == user]
            assert [one["content"] for one in own] == [f"{name} {number}" for number in range(MANY // 2)]
            stored = [(one["id"], one["seq"], one["position"], one["created_at"]) for one in own]
            for frames in (acks[user], arrived[other]):
                assert [(f["message_id"], f["seq"], f["position"], f["sent_at"]) for f in frames] == stored
        for socket in (hers, his):
            assert len(socket.of("ack")) == len(socket.of("message")) == MANY // 2
            durable = [frame["position"] for frame in socket.frames if frame["type"] in ("ack", "message")]
            assert durable == sorted(durable, key=lambda position: int(position.partition(":")[2]))
            assert socket.of("error") == []


async def test_a_retry_is_told_the_first_message_at_any_edge_and_on_any_way(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with (
        edge_beside(system.settings) as beside,
        clients(system.settings, system.url, ada, bob) as (alice, bert, back_end),
        clients(system.settings, beside, ada) as (elsewhere, _),
        bert.socket() as his,
        elsewhere.socket() as hers,
    ):
        conversation = await back_end.open(ada, bob)
        tries = await asyncio.gather(
            *(
                client.sent(conversation, "once", client_id="the-same")
                for client in (alice, elsewhere, alice, elsewhere)
            ),
        )
        assert all(tried == tries[0] for tried in tries)
        await hers.tell("message", conversation_id=conversation, content="once", client_id="the-same")
        [ack] = await hers.until("ack")
        assert (ack["message_id"], ack["position"]) == (tries[0]["message_id"], tries[0]["position"])
        body = {"conversation_id": conversation, "user_id": ada, "content": "once"}
        by_header = await alice.http.post("/chat/messages", json=body, headers={"Idempotency-Key": "the-same"})
        assert by_header.json() == tries[0]

        conflict = await elsewhere.send(conversation, "something else", client_id="the-same")
        assert (conflict.status_code, conflict.json()["code"]) == (409, "CLIENT_ID_CONFLICT")
        theirs = await bert.sent(conversation, "unrelated", client_id="the-same")
        assert theirs["seq"] == 2
        assert (await alice.history(conversation))["total"] == 2
        await his.until("message", message_id=theirs["message_id"])
        assert [frame["message_id"] for frame in his.of("message", sender_id=ada)] == [tries[0]["message_id"]]


async def test_two_users_who_are_brought_together_twice_in_one_instant_have_one_conversation(system: System) -> None:
    async with (
        edge_beside(system.settings) as beside,
        clients(system.settings, system.url) as (here,),
        clients(system.settings, beside) as (there,),
    ):
        for _ in range(20):
            ada, bob = new_user(), new_user()
            one, other = await asyncio.gather(here.open(ada, bob), there.open(bob, ada))
            assert one == other
