"""Reading: pages of a history and of a list, read receipts, unread counts, and what a back end may read."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
import pytest

from schemas import answers
from tests.support.clients import Client, clients, new_user
from tests.support.system import System

LENGTH = 25


class Talk(NamedTuple):
    """A conversation of LENGTH messages, all by alice."""

    conversation: int
    messages: list[int]
    alice: Client
    bert: Client
    back_end: Client


@pytest.fixture(scope="module")
async def talk(system: System) -> AsyncIterator[Talk]:
    async with clients(system.settings, system.url, new_user(), new_user()) as (alice, bert, back_end):
        conversation = await back_end.open(alice.user, bert.user)
        messages = [
            (await alice.sent(conversation, f"message {number}"))["message_id"] for number in range(1, LENGTH + 1)
        ]
        yield Talk(conversation, messages, alice, bert, back_end)


async def seqs(talk: Talk, **query: int) -> list[int]:
    page = await talk.bert.history(talk.conversation, **query)
    assert page["total"] == LENGTH
    assert [one["content"] for one in page["messages"]] == [f"message {one['seq']}" for one in page["messages"]]
    return [one["seq"] for one in page["messages"]]


async def test_a_history_is_read_in_pages_latest_first(talk: Talk) -> None:
    assert await seqs(talk) == list(range(LENGTH, 0, -1))
    assert await seqs(talk, limit=10) == list(range(25, 15, -1))
    assert await seqs(talk, limit=10, offset=10) == list(range(15, 5, -1))
    assert await seqs(talk, limit=10, offset=20) == [5, 4, 3, 2, 1]
    assert await seqs(talk, limit=10, offset=25) == []


async def test_a_history_is_read_by_its_numbers(talk: Talk) -> None:
    assert await seqs(talk, before_seq=6) == [5, 4, 3, 2, 1]
    assert await seqs(talk, before_seq=6, limit=2) == [5, 4]
    assert await seqs(talk, before_seq=6, limit=2, offset=1) == [4, 3]
    assert await seqs(talk, after_seq=22) == [25, 24, 23]
    assert await seqs(talk, after_seq=22, limit=1) == [25]
    assert await seqs(talk, after_seq=3, before_seq=6) == [5, 4]
    assert await seqs(talk, after_seq=5, before_seq=6) == []
    assert await seqs(talk, before_seq=0) == await seqs(talk, before_seq=1) == await seqs(talk, after_seq=25) == []
    assert len(await seqs(talk, after_seq=0)) == len(await seqs(talk, before_seq=2**53 - 1)) == LENGTH


async def test_a_watermark_covers_what_came_before_and_is_told_as_it_first_was(talk: Talk) -> None:
    async def unread() -> int:
        return int((await talk.bert.list())["conversations"][0]["unread_count"])

    async def read(seq: int) -> str:
        response = await talk.bert.http.put(f"/chat/messages/{talk.messages[seq - 1]}/read")
        assert response.status_code == 200
        return str(response.json()["read_at"])

    assert await unread() == LENGTH
    first = await read(10)
    assert await unread() == LENGTH - 10
    second = await read(20)
    assert await unread() == LENGTH - 20
    assert first <= second
    assert (await read(5), await read(10), await read(15)) == (first, first, second)
    assert await unread() == LENGTH - 20
    history = (await talk.alice.history(talk.conversation))["messages"]
    read_at = {one["seq"]: one["read_at"] for one in history}
    assert {read_at[seq] for seq in range(1, 11)} == {first}
    assert {read_at[seq] for seq in range(11, 21)} == {second}
    assert {read_at[seq] for seq in range(21, 26)} == {None}


async def test_a_read_moves_no_conversation_and_a_message_does(system: System) -> None:
    async with clients(system.settings, system.url, new_user(), new_user(), new_user()) as (
        alice,
        bert,
        carl,
        back_end,
    ):
        with_bert = await back_end.open(alice.user, bert.user)
        with_carl = await back_end.open(alice.user, carl.user)
        message = await bert.sent(with_bert, "first")
        assert [one["id"] for one in (await alice.list())["conversations"]] == [with_bert, with_carl]
        await carl.sent(with_carl, "second")
        await alice.http.put(f"/chat/messages/{message['message_id']}/read")
        listed = await alice.list()
        assert ([one["id"] for one in listed["conversations"]], listed["total"]) == ([with_carl, with_bert], 2)
        assert (await alice.list(limit=1, offset=1))["conversations"] == listed["conversations"][1:]
        assert await alice.list(limit=1, offset=2) == {"conversations": [], "total": 2}


async def test_a_back_end_reads_for_any_user_that_it_names(talk: Talk) -> None:
    listed = await talk.back_end.http.get("/chat/conversations", params={"user_id": talk.alice.user})
    assert listed.json()["total"] == 1
    path = f"/chat/conversations/{talk.conversation}/messages"
    history = await talk.back_end.http.get(path, params={"user_id": talk.alice.user, "limit": 1})
    assert "client_id" in history.json()["messages"][0]
    nobody = await talk.back_end.http.get(path)
    assert (nobody.status_code, list(nobody.json()["details"])) == (400, ["user_id"])


async def test_answers_are_what_the_document_says(talk: Talk) -> None:
    http, user = talk.alice.http, talk.alice.user
    for path, kind in (
        (f"/chat/conversations?user_id={user}", answers.ConversationList),
        (f"/chat/conversations/{talk.conversation}/messages", answers.MessageList),
        (f"/chat/blocked?user_id={user}", answers.BlockList),
        (f"/chat/users/{talk.bert.user}/status", answers.UserStatus),
        ("/chat/conversations", answers.Failure),
        ("/readyz", answers.Readiness),
        ("/healthz", answers.Alive),
    ):
        response = await http.get(path)
        decoded = msgspec.json.decode(response.content, type=kind)
        assert msgspec.json.encode(decoded) == response.content


async def test_a_ready_edge_says_how_its_tables_are(talk: Talk) -> None:
    response = await talk.alice.http.get("/readyz")
    assert (response.status_code, response.json()["ready"], response.json()["log"]) == (200, True, "ok")
    assert response.json()["read_tables"]["state"] == "ok"
    assert (await talk.alice.http.head("/healthz")).status_code == 200
