"""A command delivers one outcome, which whoever waits gets as an answer or as an error."""

import pytest

from command_api.deliver import Deliver, outcome
from schemas.errors import ChatError, Code, Unavailable


async def test_what_is_delivered_is_the_answer() -> None:
    async def command(deliver: Deliver[int]) -> None:
        deliver(7)

    assert await outcome(command) == 7


async def test_an_error_that_is_delivered_is_raised() -> None:
    async def command(deliver: Deliver[int]) -> None:
        deliver(Unavailable("away"))

    with pytest.raises(Unavailable):
        await outcome(command)


async def test_an_error_before_the_log_is_raised() -> None:
    async def command(_: Deliver[int]) -> None:
        raise ChatError(Code.FORBIDDEN, "no")

    with pytest.raises(ChatError, match="no"):
        await outcome(command)


async def test_only_the_first_outcome_counts() -> None:
    async def command(deliver: Deliver[int]) -> None:
        deliver(1)
        deliver(2)
        deliver(Unavailable("away"))

    assert await outcome(command) == 1
