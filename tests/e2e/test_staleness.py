"""When the projections stand still, reads say how far behind they are, and writes go on."""

from collections.abc import AsyncIterator

import pytest

from tests.support.clients import clients, new_user
from tests.support.edges import edge_beside
from tests.support.system import System, standing_still


@pytest.fixture
async def uncached(system: System) -> AsyncIterator[str]:
    """An edge that answers from the tables alone."""
    async with edge_beside(system.settings, caches=False) as url:
        yield url


async def test_a_read_that_is_behind_says_so_and_the_next_one_is_right(system: System, uncached: str) -> None:
    ada, bob = new_user(), new_user()
    async with clients(system.settings, uncached, ada, bob) as (alice, bert, back_end), bert.socket() as his:
        conversation = await back_end.open(ada, bob)
        before = await alice.sent(conversation, "before")
        path = f"/chat/conversations/{conversation}/messages"
        assert (await alice.history(conversation))["total"] == 1
        with standing_still(system):
            sent = await alice.sent(conversation, "meanwhile")
            await his.until("message", message_id=sent["message_id"])
            for client in (alice, bert):
                behind = await client.http.get(path)
                assert [one["id"] for one in behind.json()["messages"]] == [before["message_id"]]
                assert 2 <= int(behind.headers["chat-stale"]) < 60
            tables = (await alice.http.get("/readyz")).json()["read_tables"]
            assert tables["records_behind"] >= 1
        found = await alice.http.get(path, headers={"Chat-After": sent["position"]})
        assert [one["id"] for one in found.json()["messages"]] == [sent["message_id"], before["message_id"]]
        assert "chat-stale" not in found.headers


async def test_a_conversation_that_the_tables_lack_is_its_users_and_nobody_else_s(
    system: System, uncached: str
) -> None:
    ada, bob, eve = new_user(), new_user(), new_user()
    async with clients(system.settings, uncached, ada, bob, eve) as (alice, _, mallory, back_end):
        assert (await alice.list())["total"] == 0
        with standing_still(system):
            conversation = await back_end.open(ada, bob)
            path = f"/chat/conversations/{conversation}/messages"
            behind = await alice.http.get(path)
            assert (behind.status_code, behind.json()) == (200, {"messages": [], "total": 0})
            assert "chat-stale" in behind.headers
            assert (await mallory.http.get(path)).status_code == 403
        assert (await alice.list())["total"] == 1


async def test_a_conversation_that_the_tables_lack_is_found_as_it_is_when_it_is_opened_again(
    system: System, uncached: str
) -> None:
    ada, bob = new_user(), new_user()
    async with clients(system.settings, uncached, ada, bob) as (alice, bert, back_end):
        profile = {"name": "Bob", "photo": None}
        assert (await back_end.http.put(f"/chat/users/{bob}", json=profile)).status_code == 200
        await alice.list()  # with which the tables have it
        with standing_still(system):
            conversation = await back_end.open(ada, bob)
            read = await bert.sent(conversation, "one")
            assert (await alice.http.put(f"/chat/messages/{read['message_id']}/read")).status_code == 200
            await alice.sent(conversation, "two")
            last = await bert.sent(conversation, "three")
            behind = await back_end.http.post("/chat/conversations", json={"user_id": ada, "other_user_id": bob})
            assert (behind.status_code, behind.json()["id"]) == (200, conversation)
            assert behind.json()["unread_count"] == 1
            assert behind.json()["updated_at"] == last["sent_at"]
            assert 2 <= int(behind.headers["chat-stale"]) < 60
        found = await back_end.http.post("/chat/conversations", json={"user_id": ada, "other_user_id": bob})
        assert (found.status_code, found.json()) == (200, behind.json())
        assert "chat-stale" not in found.headers
        assert (await alice.list())["conversations"] == [found.json()]


async def test_no_cached_answer_is_older_than_what_its_user_has_seen_at_whichever_edge(system: System) -> None:
    ada, bob = new_user(), new_user()
    async with (
        edge_beside(system.settings) as first,
        edge_beside(system.settings) as second,
        clients(system.settings, first, ada, bob) as (alice, bert, back_end),
        clients(system.settings, second, ada, bob) as (alice_there, bert_there, _),
    ):
        conversation = await back_end.open(ada, bob)
        path = f"/chat/conversations/{conversation}/messages"
        everywhere = (alice, bert, alice_there, bert_there)
        async with bert.socket() as here, bert_there.socket() as there:
            for number in range(1, 11):
                # Each edge has kept an answer that the next message makes old; the message comes in by turns.
                for client in everywhere:
                    assert (await client.history(conversation))["total"] == number - 1
                    (listed,) = (await client.list())["conversations"]
                    assert listed["unread_count"] == (0 if client.user == ada else number - 1)
                sent = await (alice, alice_there)[number % 2].sent(conversation, f"message {number}")
                for pushed, client in ((here, bert), (there, bert_there)):
                    await pushed.until("message", message_id=sent["message_id"])
                    assert (await client.history(conversation, limit=1))["messages"][0]["id"] == sent["message_id"]
                    assert (await client.list())["conversations"][0]["last_message"] == f"message {number}"
                for client in (alice, alice_there):  # whose edge may not have seen it; the client says what it has seen
                    named = await client.http.get(path, headers={"Chat-After": sent["position"]})
                    assert named.json()["messages"][0]["id"] == sent["message_id"]
