"""Requests a second: sends, history pages and lists over many conversations, and how deep a page may lie.

Each measure is taken as fast as a fixed number of connections goes, and again at half of that, for its latency.
"""

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.filling import Conversation, acquainted, filling
from benchmarks.loadgen import LoadGenerator, timing
from benchmarks.loops import on_uvloop
from benchmarks.plan import Plan
from benchmarks.results import Run, Trial
from benchmarks.stack import Stack

USERS_FROM, DEEP_FROM = 1_000_001, 2_000_001
EACH = 20
"""Conversations of a user: a list is one full page."""

SHALLOW = 10
PAGE = 50
DEEP_REQUESTS = 2_000
DEEP_CONNECTIONS = 4

Asked = tuple[str, str, int, Any]
"""A request: method, path, the user who asks, and its body or None."""


class Population(NamedTuple):
    """What was filled in: conversations of the same length, one with few messages, and a deep one."""

    conversations: list[Conversation]
    shallow: Conversation
    deep: Conversation


async def populate(stack: Stack, plan: Plan) -> Population:
    """Fill the log and wait until the read tables have it, and have been read."""
    there = await on_uvloop(_fill(stack, plan))
    await stack.caught_up()
    await stack.stored()  # Postgres marks rows when they are first read, and writes them again
    return there


async def _fill(stack: Stack, plan: Plan) -> Population:
    async with filling(stack.settings) as filler:
        conversations = await filler.open(acquainted(plan.conversations, EACH, USERS_FROM))
        for conversation in conversations:
            await filler.send(conversation, plan.messages)
        shallow, deep = await filler.open([(DEEP_FROM, DEEP_FROM + 1), (DEEP_FROM, DEEP_FROM + 2)])
        await filler.send(shallow, SHALLOW)
        await filler.send(deep, plan.deep)
    return Population(conversations, shallow, deep)


def sends(there: Population) -> list[Asked]:
    """Send a message in any conversation."""
    return [
        (
            "POST",
            "/chat/messages",
            one.user_id,
            {"conversation_id": one.id, "user_id": one.user_id, "content": "x" * 100},
        )
        for one in there.conversations
    ]


def histories(there: Population) -> list[Asked]:
    """Ask for the latest page of any conversation."""
    path = "/chat/conversations/{}/messages?limit={}"
    return [("GET", path.format(one.id, PAGE), one.user_id, None) for one in there.conversations]


def lists(there: Population) -> list[Asked]:
    """Ask for any user's conversations."""
    users = sorted({one.user_id for one in there.conversations})
    return [("GET", f"/chat/conversations?user_id={user}&limit={EACH}", user, None) for user in users]


def pages(of: Conversation, messages: int) -> list[Asked]:
    """Ask for any page of one conversation; of ten messages, as one of ten has no more."""
    drawn = random.Random(7)
    offsets = (drawn.randrange(max(1, messages - SHALLOW)) for _ in range(DEEP_REQUESTS))
    path = f"/chat/conversations/{of.id}/messages?limit={SHALLOW}&offset="
    return [("GET", f"{path}{offset}", of.user_id, None) for offset in offsets]


MEASURES: dict[str, Callable[[Population], list[Asked]]] = {"send": sends, "history": histories, "list": lists}


class Asking:
    """Loads of requests on one system."""

    def __init__(self, stack: Stack, generator: LoadGenerator, plan: Plan) -> None:
        self._stack = stack
        self._generator = generator
        self._plan = plan

    async def closed(self, requests: Iterable[Asked], connections: int, seconds: float | None = None) -> Trial:
        """Ask as fast as so many connections go, one request at a time on each."""
        return await self._load(requests, connections, seconds=seconds, mode="closed", rate=1)

    async def at_rate(self, requests: Iterable[Asked], rate: float) -> Trial:
        """Ask so many times a second, whatever the answers do."""
        return await self._load(requests, 4 * self._plan.concurrency, mode="open", rate=rate)

    async def _load(
        self, requests: Iterable[Asked], connections: int, *, seconds: float | None = None, **flags: object
    ) -> Trial:
        measured = seconds or self._plan.seconds
        return await self._generator.run(
            "http",
            self._stack.url,
            self._plan.warmup + measured,
            state=_write(self._stack.home / "requests.json", self._stack, requests),
            roots=self._stack.roots(),
            par=connections,
            **flags,
            **timing(self._plan.warmup, measured),
        )


async def ask(run: Run, system: str, asking: Asking, there: Population, plan: Plan, names: Iterable[str]) -> None:
    """Take the trials of these MEASURES: as fast as it goes, then at half of that."""
    for name in names:
        requests = MEASURES[name](there)
        for _ in range(plan.trials):
            run.add(system, name, await asking.closed(requests, plan.concurrency))
        half = (run.median(system, name, "requests_per_s") or 0) / 2
        for _ in range(plan.trials if half and plan.thorough else 0):
            run.add(system, f"{name} at half rate", await asking.at_rate(requests, half))


async def heat(asking: Asking, name: str, there: Population, plan: Plan) -> None:
    """Ask as `ask` will, and count nothing: what an edge keeps of conversations and answers is not there at first."""
    await asking.closed(MEASURES[name](there), plan.concurrency, seconds=plan.heat)


async def ask_deep(run: Run, system: str, asking: Asking, there: Population, plan: Plan) -> None:
    """Compare pages of a conversation with few messages with any page of a long one; they take turns."""
    measured = {"page of 10": (there.shallow, SHALLOW), "page of many": (there.deep, plan.deep)}
    for _ in range(plan.trials):
        for name, (conversation, messages) in measured.items():
            trial = await asking.closed(pages(conversation, messages), DEEP_CONNECTIONS)
            run.add(system, name, {**trial, "messages": messages})


async def compare_with_stored(run: Run, system: str, stack: Stack, before: int) -> None:
    """Add to the last sends how many were answered and are not in the read tables, once these have everything.

    A send that the end of its load cut off may be stored without its answer having been read: more is no fault.
    """
    caught_up = await stack.caught_up()
    stored = await stack.stored() - before
    sends = [one for name in ("send", "send at half rate") if (one := run.find(system, name)) is not None]
    answered = sum(int(trial["answered"]) for one in sends for trial in one.trials)
    sends[-1].trials[-1] |= {"caught_up_s": caught_up, "stored_lost": max(0, answered - stored)}


def _write(file: Path, stack: Stack, requests: Iterable[Asked]) -> Path:
    """Write requests as the load generator takes them."""
    listed = list(requests)
    users = sorted({user for _, _, user, _ in listed})
    place = {user: number for number, user in enumerate(users)}
    wanted = [
        {"method": method, "path": path, "token": place[user], "body": json.dumps(body) if body else ""}
        for method, path, user, body in listed
    ]
    file.touch(mode=0o600)
    file.write_text(json.dumps({"tokens": [stack.token(user) for user in users], "requests": wanted}), "utf-8")
    return file
