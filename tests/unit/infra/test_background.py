"""Tasks that nobody waits for."""

import asyncio

import pytest

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
