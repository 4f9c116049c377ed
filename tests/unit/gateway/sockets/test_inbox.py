"""gateway/sockets/inbox.py: what was put first is taken first, and a taker waits."""

import asyncio

import pytest

from gateway.sockets.inbox import Inbox


@pytest.fixture
async def inbox() -> Inbox[int]:
    return Inbox(asyncio.get_running_loop())


async def test_items_come_in_their_order(inbox: Inbox[int]) -> None:
    for item in (1, 2, 3):
        inbox.put_nowait(item)
    assert len(inbox) == 3
    assert [await inbox.get() for _ in range(3)] == [1, 2, 3]
    assert inbox.empty()


async def test_a_taker_waits_for_an_item(inbox: Inbox[int]) -> None:
    taking = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    assert not taking.done()
    inbox.put_nowait(1)
    inbox.put_nowait(2)
    assert await taking == 1
    assert await inbox.get() == 2


async def test_a_taker_that_gives_up_takes_nothing(inbox: Inbox[int]) -> None:
    taking = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    taking.cancel()
    inbox.put_nowait(1)
    await asyncio.wait([taking])
    assert await inbox.get() == 1


async def test_it_tells_whether_a_taker_waits_and_nothing_has_come_for_it(inbox: Inbox[int]) -> None:
    assert not inbox.taker_waits
    taking = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    assert inbox.taker_waits
    inbox.put_nowait(1)
    assert not inbox.taker_waits
    await taking
    assert not inbox.taker_waits
