"""A client that hears nothing sends again under the same client_id: at another edge, and after all was restarted."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.faults import scaled
from tests.support.clients import Client, Frame, clients, new_user
from tests.support.system import System, start_system

TIMEOUT_SECONDS = 1.0


async def sent_in_vain(client: Client, conversation: int, number: int) -> None:
    """Send to an edge that stands still, and lose patience."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await client.sent(conversation, f"message {number}", client_id=f"try-{number}")


async def told_again(client: Client, conversation: int, answers: list[Frame]) -> None:
    """Try everything once more: the first answers are given again, and other bodies are refused."""
    for number, answer in enumerate(answers):
        assert await client.sent(conversation, f"message {number}", client_id=f"try-{number}") == answer
    conflict = await client.send(conversation, "something else", client_id="try-0")
    assert (conflict.status_code, conflict.json()["code"]) == (409, "CLIENT_ID_CONFLICT")


async def timed_out(system: System, ada: int, bob: int, count: int) -> tuple[int, list[Frame]]:
    """Have messages sent at an edge that stands still, and again at the other one; return what that answered."""
    async with (
        clients(system.settings, system.edges[0], ada) as (alice, back_end),
        clients(system.settings, system.edges[1], ada, bob) as (elsewhere, bert, _),
        bert.socket() as his,
    ):
        conversation = await back_end.open(ada, bob)
        await elsewhere.sent(conversation, "both edges know the conversation")
        await alice.sent(conversation, "and have written in it")
        first_edge = system.part("edge-1").pid
        os.kill(first_edge, signal.SIGSTOP)
        try:
            await asyncio.gather(*(sent_in_vain(alice, conversation, number) for number in range(count)))
            answers = [
                await elsewhere.sent(conversation, f"message {number}", client_id=f"try-{number}")
                for number in range(count)
            ]
        finally:
            os.kill(first_edge, signal.SIGCONT)
        # It comes to what it was sent before it stood still, and may write that too.
        await told_again(alice, conversation, answers)
        last = await bert.sent(conversation, "the end")
        await his.tell("ping", ref="end")
        await his.until("pong", ref="end")
        wanted = [answer["message_id"] for answer in answers]
        assert [frame["message_id"] for frame in his.of("message", sender_id=ada)][2:] == wanted
        assert last["seq"] == count + 3
    return conversation, answers


async def test_a_send_that_timed_out_is_one_message_at_another_edge_and_after_a_restart_of_all(tmp_path: Path) -> None:
    """7: one answer, one row, one frame; also after a block."""
    ada, bob, count = new_user(), new_user(), scaled(20, 200)
    async with start_system("--edges", "2", home=tmp_path, CHAT_MESSAGES_PER_MINUTE="0") as system:
        conversation, answers = await timed_out(system, ada, bob, count)
    async with start_system("--edges", "2", home=tmp_path) as system:
        for edge in system.edges:
            async with clients(system.settings, edge, ada, bob) as (alice, bert, _):
                await told_again(alice, conversation, answers)
                assert (await alice.history(conversation))["total"] == count + 3
                assert (await bert.http.post(f"/chat/conversations/{conversation}/block")).status_code == 200
                await told_again(alice, conversation, answers)
                refused = await alice.send(conversation, "new")
                assert (refused.status_code, refused.json()["code"]) == (403, "CONVERSATION_BLOCKED")
