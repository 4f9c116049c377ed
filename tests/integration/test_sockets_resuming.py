"""Sockets that come back, on real servers: at another edge, out of the tables, with a cursor that is no good."""

import pytest

from infra import log_start
from infra.settings import Settings
from schemas.events import AnyEvent, AsOf, ConversationBlocked, ConversationOpened, MessageRead, MessageSent
from tests.support.clients import Frame, clients, new_user
from tests.support.dialling import Dial, cut
from tests.support.edges import Pair, edge_beside
from tests.support.foreign import append_event


async def test_a_gap_is_told_at_another_edge(dial: Dial, edges: tuple[str, str], pair: Pair) -> None:
    alice, bert, conversation = pair
    his = await dial(edges[0], bert.user)
    assert (await his.frame())["resumed"] is False
    await cut(his)
    sent = [await alice.sent(conversation, f"message {number}") for number in range(20)]
    again = await dial(edges[1], bert.user, his.given_back)
    connected, *missed, heartbeat = await again.until("heartbeat")
    assert connected["resumed"] is True
    assert [frame["message_id"] for frame in missed if frame["type"] == "message"] == [
        one["message_id"] for one in sent
    ]
    assert [frame["position"] for frame in missed if frame["type"] == "message"] == [one["position"] for one in sent]
    assert heartbeat["cursor"] != connected["cursor"]


async def test_a_gap_that_no_memory_covers_comes_out_of_the_tables(
    dial: Dial, edges: tuple[str, str], pair: Pair, module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bert, conversation = pair
    his = await dial(edges[0], bert.user)
    await his.frame()
    await cut(his)
    sent = [(await alice.sent(conversation, f"message {number}"))["message_id"] for number in range(120)]
    await bert.http.put(f"/chat/messages/{sent[50]}/read")
    await bert.http.post(f"/chat/conversations/{conversation}/block")
    # An edge whose tail begins now: it remembers nothing of this.
    monkeypatch.setattr(log_start, "LIMITS_REACH_BACK", dict.fromkeys(log_start.LIMITS_REACH_BACK, 0))
    async with edge_beside(module_settings) as late:
        again = await dial(late, bert.user, his.given_back)
        _, *missed, heartbeat = await again.until("heartbeat")
        assert "cursor" in heartbeat
        assert [frame["message_id"] for frame in missed if frame["type"] == "message"] == sent
        assert [frame["seq"] for frame in missed if frame["type"] == "read"] == [51]
        assert missed[-1]["type"] == "blocked"


def contradictions(alice: int, bert: int, conversation: int, first: Frame) -> list[AnyEvent]:
    """Return what a pair with one message cannot have, and what strangers cannot."""
    at = first["sent_at"]
    as_of = AsOf(int(first["position"].partition(":")[2]) + 1, 1)
    other, stranger = 2**53 - 5, new_user()
    forged = {"message_id": other, "content": "forged", "content_type": "text", "sent_at": at}
    read = {"message_id": first["message_id"], "reader_id": bert, "sender_id": alice, "read_at": at}
    pair = {"user_id": alice, "other_user_id": bert}
    return [
        MessageSent(sender_id=alice, recipient_id=bert, conversation_id=other, client_id="a", as_of=as_of, **forged),
        MessageSent(sender_id=stranger, recipient_id=alice, conversation_id=9, client_id="b", as_of=AsOf(0), **forged),
        MessageRead(conversation_id=conversation, up_to_seq=10**9, **read),
        MessageRead(conversation_id=other, up_to_seq=1, **read),
        ConversationOpened(conversation_id=other, opened_at=at, as_of=as_of, **pair),
        ConversationBlocked(conversation_id=other, blocked_at=at, **pair),
        ConversationBlocked(conversation_id=9, user_id=stranger, other_user_id=alice, blocked_at=at),
        ConversationBlocked(conversation_id=9, user_id=alice, other_user_id=stranger, blocked_at=at),
    ]


async def test_what_contradicts_a_conversation_is_told_nobody(
    dial: Dial, edges: tuple[str, str], pair: Pair, module_settings: Settings
) -> None:
    """No producer of ours appends it, and the projections put it among the dead letters."""
    alice, bert, conversation = pair
    first = await alice.sent(conversation, "first")
    history = f"/chat/conversations/{conversation}/messages"
    async with clients(module_settings, edges[1], alice.user) as (elsewhere, _):
        await elsewhere.http.get(history, headers={"Chat-After": first["position"]})
        hers, his = await dial(edges[0], alice.user), await dial(edges[1], bert.user)
        gone = await dial(edges[0], bert.user)
        for line in (hers, his, gone):
            await line.until("online")  # the partners are loaded by then
        await cut(gone)
        for event in contradictions(alice.user, bert.user, conversation, first):
            last = await append_event(module_settings, event)
            for client in (alice, elsewhere):
                assert (await client.http.get(history, headers={"Chat-After": last})).json()["total"] == 1
    second = await alice.sent(conversation, "second")
    back = await dial(edges[0], bert.user, gone.given_back)
    for line in (hers, his, back):
        *before, message = await line.until("message")
        assert message["message_id"] == second["message_id"]
        assert {frame["type"] for frame in before} <= {"connected", "online", "heartbeat"}
    await his.tell("typing", conversation_id=conversation)
    await hers.until("typing")


async def test_what_the_client_has_seen_since_its_cursor_is_not_told_again(
    dial: Dial, edges: tuple[str, str], pair: Pair
) -> None:
    alice, bert, conversation = pair
    his = await dial(edges[0], bert.user)
    await his.frame()
    await alice.sent(conversation, "seen")
    await his.until("message")
    await cut(his)
    await alice.sent(conversation, "missed")
    again = await dial(edges[0], bert.user, his.given_back)
    frames = await again.until("heartbeat")
    assert [frame["content"] for frame in frames if frame["type"] == "message"] == ["missed"]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("&cursor=nonsense", "malformed_cursor"),
        ("&cursor=7.AQAAAAAAAAAA", "unknown_epoch"),
        ("&cursor={cursor}&positions=x", "malformed_cursor"),
        ("&cursor={cursor}&positions=0:999999999", "outside_log"),
    ],
)
async def test_a_cursor_that_is_no_good_is_told_so(
    dial: Dial, edges: tuple[str, str], pair: Pair, query: str, reason: str
) -> None:
    _, bert, _ = pair
    his = await dial(edges[0], bert.user)
    await his.frame()
    again = await dial(edges[0], bert.user, query.replace("{cursor}", his.cursor))
    connected, *_, resync = await again.until("resync")
    assert (connected["resumed"], resync["reason"]) == (False, reason)
    assert resync["cursor"]


async def test_a_socket_that_resumes_replaces_the_old_one_at_whichever_edge(
    dial: Dial, edges: tuple[str, str], pair: Pair
) -> None:
    _, bert, _ = pair
    wires = [await dial(edges[0], bert.user) for _ in range(5)]
    for wire in wires:
        await wire.frame()
    again = await dial(edges[1], bert.user, wires[0].given_back)
    assert (await again.frame())["resumed"] is True
    code, _ = await wires[0].closed()
    assert code == 1000
