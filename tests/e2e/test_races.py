"""A block against a send in the same instant, at two edges, one of which has not loaded the conversation yet.

The answer, the sockets and the history say the same every time, and no answer is taken back.
"""

import asyncio
from collections import Counter

import pytest

from infra import log_start
from schemas.topics import CONVERSATIONS, MODERATION
from tests.support.clients import Client, Frame, Socket, clients, new_user
from tests.support.edges import edge_beside
from tests.support.system import System

ROUNDS = 200
AT_ONCE = 10


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an edge begin where the tables are: it has to load every conversation that it is asked about."""
    monkeypatch.setattr(log_start, "LIMITS_REACH_BACK", {CONVERSATIONS: 0, MODERATION: 0})


@pytest.mark.usefixtures("cold")
async def test_a_block_against_a_send_is_told_as_it_was_200_times(system: System) -> None:
    users = [(new_user(), new_user()) for _ in range(ROUNDS)]
    outcomes: Counter[int] = Counter()
    async with clients(system.settings, system.url) as (back_end,):
        conversations = [await back_end.open(*pair) for pair in users]
        await asyncio.gather(*(warm(system, pair, one) for pair, one in zip(users, conversations, strict=True)))
    async with edge_beside(system.settings) as beside:
        places = ((system.url, beside), (beside, system.url))
        for begin in range(0, ROUNDS, AT_ONCE):
            rounds = range(begin, begin + AT_ONCE)
            outcomes.update(
                await asyncio.gather(
                    *(duel(system, users[number], conversations[number], places[number % 2]) for number in rounds)
                )
            )
    assert outcomes.keys() <= {201, 403}
    assert sum(outcomes.values()) == ROUNDS


async def warm(system: System, users: tuple[int, int], conversation: int) -> None:
    """Have the tables know the conversation."""
    async with clients(system.settings, system.url, *users) as (alice, _, _):
        assert (await alice.history(conversation))["total"] == 0


async def duel(system: System, users: tuple[int, int], conversation: int, places: tuple[str, str]) -> int:
    """Let one send at the first place while the other blocks at the second; return the send's status."""
    ada, bob = users
    async with (
        clients(system.settings, places[0], ada) as (alice, _),
        clients(system.settings, places[1], bob) as (bert, _),
        bert.socket() as his,
    ):
        answer, blocked = await asyncio.gather(
            alice.send(conversation, "now?", client_id="the-one"),
            bert.http.post(f"/chat/conversations/{conversation}/block"),
        )
        assert blocked.status_code == 200
        await his.until("blocked", conversation_id=conversation)
        again = await alice.send(conversation, "now?", client_id="the-one")
        assert (again.status_code, again.json().get("message_id")) == (
            answer.status_code,
            answer.json().get("message_id"),
        )
        if answer.status_code == 403:
            assert answer.json()["code"] == "CONVERSATION_BLOCKED"
        await told_as_it_was(alice, bert, his, conversation, answer.json() if answer.status_code == 201 else None)
    return answer.status_code


async def told_as_it_was(alice: Client, bert: Client, his: Socket, conversation: int, sent: Frame | None) -> None:
    """Hold the sender's answer against both histories and the recipient's socket."""
    wanted = [] if sent is None else [sent["message_id"]]
    for client in (alice, bert):
        assert [one["id"] for one in (await client.history(conversation))["messages"]] == wanted
    if sent is not None:
        await his.until("message", conversation_id=conversation)
    # What comes after a pong would have come before it: frames of one socket keep their order.
    await his.tell("ping", ref="end")
    await his.until("pong", ref="end")
    assert [frame["message_id"] for frame in his.of("message")] == wanted
