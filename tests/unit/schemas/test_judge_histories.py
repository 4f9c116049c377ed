"""Whatever the order of things, edges that know a window of the log judge as the whole log does.

The world is tests/support/histories.py. The limit is made small, so that short histories reach it.
"""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import judge
from tests.support.histories import World

LIMIT = 8
STEPS = 400
PAIR = 1, 2

HAPPENINGS = {
    "send": 8,
    "retry": 3,
    "block": 1,
    "append": 14,
    "read": 11,
    "project": 6,
    "open": 1,
    "forget": 1,
    "restart": 1,
}
"""What may happen, and how often."""


@pytest.fixture(autouse=True, scope="module")
def a_small_limit() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "LIMIT", LIMIT)
        patch.setattr(judge, "WINDOW", 3 * LIMIT)
        yield


@settings(max_examples=500, deadline=None)
@given(st.randoms(use_true_random=True))
def test_edges_that_lag_die_and_forget_judge_as_the_whole_log_does(random: Random) -> None:
    world = World(random.choice([1, 2, 3]))
    world.edges[0].open(PAIR)
    for happening in random.choices(list(HAPPENINGS), list(HAPPENINGS.values()), k=STEPS):
        happens(world, happening, random)
    world.check()


def happens(world: World, what: str, random: Random) -> None:  # noqa: C901 - a table, in effect
    """Do one thing, at one edge or at all of them."""
    number = random.randrange(len(world.edges))
    edge = world.edges[number]
    pair = random.choice([PAIR, PAIR[::-1]])
    client_id = str(len(world.log) // 6 + random.randrange(4))  # often one that was used not long ago
    match what:
        case "send":
            edge.send(pair, client_id)
        case "retry":
            for each in world.edges:
                each.send(pair, client_id)
        case "block":
            edge.block(pair, back=False)
            edge.block(pair, back=True)
        case "open":
            edge.open(random.choice([pair, (1, 3)]))
        case "append":
            world.append(random.randrange(9))
        case "read":
            for _ in range(random.choice([1, 1, 3, 10])):
                edge.read()
        case "project":
            world.project(random.choice([1, 1, 5, 20]))
        case "forget":
            edge.conversations.clear()
        case "restart":
            world.restart(number)
        case _:
            raise AssertionError(what)
