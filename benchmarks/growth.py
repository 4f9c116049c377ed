"""What grows and should not matter: each measure again with little and with much of it.

Messages in a conversation, conversations of a user, open sockets, messages that an edge has seen, edges and partitions.
How fast read tables are made anew from a longer log is in projection.py.
"""

import asyncio
import dataclasses
import secrets

import msgspec

from benchmarks.bench import Bench, vary
from benchmarks.filling import Conversation, filling
from benchmarks.loops import on_uvloop
from benchmarks.plan import Plan
from benchmarks.rest import DEEP_CONNECTIONS, Asked, Asking, pages
from benchmarks.results import Run
from benchmarks.sockets import Talk, wait_idly
from benchmarks.stack import FLUSHED, Stack, Variant, started

SYSTEM = "growth"
MESSAGES = (10, 10_000, 1_000_000)
CONVERSATIONS = (10, 10_000)
SOCKETS = (100, 10_000)
SENT = (100_000, 1_000_000, 2_000_000)
PARTITIONS = (1, 2, 4, 8)
EDGES = (1, 2)
SENDS = 50_000
SENDING_SECONDS = 20
USERS_FROM = 3_000_001
CONNECTS_PER_SECOND = 200
NAME = "{} = {:,}: {}"


async def lengths(bench: Bench) -> None:
    """Pages of longer and longer histories, sends to them, and pages of longer and longer lists, without caches.

    By an edge that has not seen how they became long. Sends come last: they make the short ones long.
    """
    home = bench.home / "growth"
    async with started(home) as stack:
        histories, users = await on_uvloop(_fill(stack, bench.plan))
        await stack.caught_up()
    async with started(home, CHAT_CACHES="0") as stack:
        asking = Asking(stack, bench.generator, bench.plan)
        asked = {NAME.format("messages", n, "history"): pages(one, n) for n, one in histories.items()}
        asked |= {NAME.format("messages", n, "list"): _list(one.user_id, 1) for n, one in histories.items()}
        asked |= {NAME.format("conversations", n, "list"): _list(user, n) for n, user in users.items()}
        for _ in range(bench.plan.trials):
            for name, requests in asked.items():
                bench.run.add(SYSTEM, name, await asking.closed(requests, DEEP_CONNECTIONS))
        for _ in range(bench.plan.trials):
            for n, one in histories.items():
                trial = await asking.closed(_sends(one), DEEP_CONNECTIONS)
                bench.run.add(SYSTEM, NAME.format("messages", n, "send"), trial)


async def _fill(stack: Stack, plan: Plan) -> tuple[dict[int, Conversation], dict[int, int]]:
    """Return a conversation for each of MESSAGES, and a user for each of CONVERSATIONS."""
    histories, users, user = {}, {}, USERS_FROM
    async with filling(stack.settings) as filler:
        for number in _up_to(plan.deep, MESSAGES):
            (histories[number],) = await filler.open([(user, user + 1)])
            await filler.send(histories[number], number)
            user += 2
        for number in _up_to(plan.conversations, CONVERSATIONS):
            opened = await filler.open((user, user + other) for other in range(1, number + 1))
            for conversation in opened:
                await filler.send(conversation, 1)
            users[number] = user
            user += number + 1
    return histories, users


def _up_to(most: int, numbers: tuple[int, ...]) -> list[int]:
    return [number for number in numbers if number <= most]


def _list(user: int, conversations: int) -> list[Asked]:
    """Ask for any page of a user's conversations."""
    path = f"/chat/conversations?user_id={user}&limit=20&offset="
    return [("GET", f"{path}{offset}", user, None) for offset in range(0, max(1, conversations - 20), 20)]


def _sends(to: Conversation) -> list[Asked]:
    """Send messages, each with a client_id of its own."""
    body = {"conversation_id": to.id, "user_id": to.user_id, "content": "x" * 100}
    return [("POST", "/chat/messages", to.user_id, {**body, "client_id": secrets.token_hex(8)}) for _ in range(SENDS)]


async def open_sockets(bench: Bench) -> None:
    """The latency of some pairs while more and more others are connected."""
    for number in _up_to(2 * bench.plan.sockets, SOCKETS):
        async with started(bench.home / "growth-sockets") as stack:
            talking = await asyncio.to_thread(Talk.seeded, stack, bench.generator, bench.plan)
            connecting = 5 + number / CONNECTS_PER_SECOND
            load = (bench.plan.warmup + bench.plan.seconds + 5) * bench.plan.trials
            waiting = asyncio.create_task(wait_idly(stack, bench.generator, number, connecting + load))
            try:
                await asyncio.sleep(connecting)
                for _ in range(bench.plan.trials):
                    bench.run.add(SYSTEM, NAME.format("sockets", number, "open"), await talking.trial("open"))
                bench.run.add(SYSTEM, NAME.format("sockets", number, "idle"), await waiting)
            finally:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)


async def sent(bench: Bench) -> None:
    """A window of eight, once more and more messages were sent through the same edge to the same conversations."""
    async with started(bench.home / "growth-sent") as stack:
        talking = await asyncio.to_thread(Talk.seeded, stack, bench.generator, bench.plan)
        await talking.trial("closed", measured=bench.plan.heat)
        for number in _up_to(2 * bench.plan.deep, SENT):
            while await stack.stored() < number:
                await talking.trial("window", measured=SENDING_SECONDS)
            for _ in range(bench.plan.trials):
                bench.run.add(SYSTEM, NAME.format("sent", number, "window"), await talking.trial("window"))


async def edges_and_partitions(bench: Bench) -> None:
    """The closed loop and 500 a second with more edges behind one address, and with more partitions of the log."""
    plan = msgspec.structs.replace(bench.plan, trials=max(1, bench.plan.trials - 1))
    for number in EDGES:
        await _vary(bench, plan, "edges", number, ("--edges", str(number)), {})
    for number in PARTITIONS:
        await _vary(bench, plan, "partitions", number, (), {"CHAT_PARTITIONS": str(number)})


async def _vary(
    bench: Bench, plan: Plan, what: str, number: int, options: tuple[str, ...], environ: dict[str, str]
) -> None:
    name = f"{what}-{number}"
    own = dataclasses.replace(bench, run=Run(kind="", begun=""), plan=plan)
    variant = Variant(name=name, promise=FLUSHED.promise, options=options, environ=environ)
    await vary(own, variant, ("closed", "open"))
    for measure in own.run.measures:
        for trial in measure.trials:
            bench.run.add(SYSTEM, NAME.format(what, number, measure.name), trial)


SERIES = {"lengths": lengths, "sockets": open_sockets, "sent": sent, "edges and partitions": edges_and_partitions}
