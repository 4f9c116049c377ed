"""Tasks that nobody waits for."""

import asyncio
from contextlib import suppress

import pytest

from infra import background as module
from infra.background import Background


async def test_what_fails_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()

    async def fail() -> None:
        raise RuntimeError("a bug")

    await asyncio.wait({background.spawn(fail(), "the work")})
    await asyncio.sleep(0)
    assert "the work failed" in caplog.text


async def test_a_stop_cancels_what_is_left() -> None:
    background = Background()
    task = background.spawn(asyncio.sleep(1_000), "a long wait")
    await background.stop()
    assert task.cancelled()


async def test_what_does_not_end_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.01)
    background, enough = Background(), asyncio.Event()

    async def go_on() -> None:
        while not enough.is_set():
            with suppress(asyncio.CancelledError):
                await enough.wait()

    task = background.spawn(go_on(), "the work")
    await asyncio.sleep(0)
    await background.stop()
    assert "the work does not end" in caplog.text
    enough.set()
    await task
