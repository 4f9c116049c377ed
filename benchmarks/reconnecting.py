"""Clients that all come back at once after their edge was killed, each with messages to catch up on.

They come to the edge that is left; `seconds` is until the last of them has everything, `missed`, `doubled` and
`reordered` count over all. Memory is that edge's, before they came and after they had gone again.
"""

import asyncio
import os
import signal
import time
from typing import Any

import orjson
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.plan import Plan
from benchmarks.results import Trial
from benchmarks.seeding import PAIRS_FROM, open_pairs
from benchmarks.stack import FLUSHED, Stack, Variant

TWO_EDGES = Variant(name=FLUSHED.name, promise=FLUSHED.promise, options=("--edges", "2"))
SENDERS_AT_ONCE = 30
"""With 100 messages each they stay below what an edge takes at once (infra/appender.py)."""
PATIENCE_SECONDS = 120


async def reconnect(stack: Stack, plan: Plan) -> Trial:
    """Connect, kill the edge, send, and let everybody come back."""
    count, behind = plan.reconnecting, plan.behind
    conversations = await asyncio.to_thread(open_pairs, stack, count)
    survivor = psutil.Process(stack.process("edge-2"))
    connected = await asyncio.gather(*(_connect(stack, 0, _reader(number)) for number in range(count)))
    os.kill(stack.process("edge-1"), signal.SIGKILL)
    cursors = await asyncio.gather(*(_lost(*one) for one in connected))
    await _send(stack, conversations, behind)
    await asyncio.sleep(plan.settle)
    before = _mib(survivor)
    begun = time.monotonic()
    back = await asyncio.gather(*(_catch_up(stack, number, cursors[number]) for number in range(count)))
    seconds = time.monotonic() - begun
    there = _mib(survivor)
    await asyncio.gather(*(connection.close() for connection, _ in back))
    await asyncio.sleep(plan.settle)
    after = _mib(survivor)
    return {
        "connections": count,
        "seconds": round(seconds, 2),
        **_faults([seqs for _, seqs in back], behind),
        "edge_mib_before": before,
        "edge_mib_with_all": there,
        "edge_mib_after": after,
        "memory_percent": round((after / before - 1) * 100, 1),
    }


def _reader(number: int) -> int:
    return PAIRS_FROM + 2 * number + 1


async def _connect(stack: Stack, edge: int, user: int, query: str = "") -> tuple[ClientConnection, list[Any]]:
    """Return a connection and the frames that came first."""
    url = f"{stack.edges[edge].replace('http', 'ws', 1)}/chat/connect?token={stack.token(user)}&batch=1{query}"
    connection = await connect(url, compression=None, open_timeout=PATIENCE_SECONDS, ping_interval=None)
    return connection, _frames(await connection.recv())


async def _lost(connection: ClientConnection, frames: list[Any]) -> str:
    """Wait for the end of a connection; return the cursor that its client keeps."""
    try:
        while True:
            frames += _frames(await connection.recv())
    except ConnectionClosed:
        cursors: list[str] = [frame["cursor"] for frame in frames if "cursor" in frame]
        return cursors[-1]


async def _send(stack: Stack, conversations: list[int], behind: int) -> None:
    """Send to everybody by the edge that is left."""
    turns = asyncio.Semaphore(SENDERS_AT_ONCE)

    async def one(number: int) -> None:
        async with turns:
            connection, _ = await _connect(stack, 1, PAIRS_FROM + 2 * number)
            frame = {"type": "message", "conversation_id": conversations[number], "content": "x" * 100}
            for _ in range(behind):
                await connection.send(orjson.dumps(frame).decode())
            acks = 0
            while acks < behind:
                acks += sum(frame["type"] == "ack" for frame in _frames(await connection.recv()))
            await connection.close()

    await asyncio.gather(*(one(number) for number in range(len(conversations))))


async def _catch_up(stack: Stack, number: int, cursor: str) -> tuple[ClientConnection, list[int]]:
    """Come back, and read until everything is there; return the numbers of the messages as they came."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        connection, frames = await _connect(stack, 1, _reader(number), f"&cursor={cursor}")
        while not any(_ends(frame) for frame in frames):
            frames += _frames(await connection.recv())
    return connection, [frame["seq"] for frame in frames if frame["type"] == "message"]


def _ends(frame: dict[str, Any]) -> bool:
    """Tell whether a catch-up is over with this frame."""
    return frame["type"] == "resync" or (frame["type"] == "heartbeat" and "cursor" in frame)


def _faults(received: list[list[int]], behind: int) -> Trial:
    return {
        "missed": sum(len(set(range(1, behind + 1)) - set(seqs)) for seqs in received),
        "duplicated": sum(len(seqs) - len(set(seqs)) for seqs in received),
        "reordered": sum(seqs != sorted(seqs) for seqs in received),
    }


def _frames(text: str | bytes) -> list[Any]:
    found: Any = orjson.loads(text)
    return found if isinstance(found, list) else [found]


def _mib(process: psutil.Process) -> float:
    return round(process.memory_full_info().pss / 1024 / 1024, 1)
