"""How fast the projections are: one live worker with the final indexes, and a rebuild from the start of the log.

    python -m benchmarks.projection [--json] [--short | --growth]

Servers and a log of its own: 10,000 conversations, four events in five messages, the rest reads. The live worker finds
all of it in the log and brings it into the tables; then `chat rebuild` builds them anew, indexes counted. `--growth`
does so at 100 thousand and at 5 million events, which must go at nearly the same rate and in the same memory.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import click
import psutil
from aiokafka.partitioner import murmur2

from infra import kafka, log_start
from infra.child import serving
from infra.embedded.kafka import prepare_kafka
from infra.embedded.postgres import prepare_postgres
from infra.settings import Settings, load_settings
from schemas import topics
from schemas.envelope import seal
from schemas.events import AsOf, ConversationEvent, ConversationOpened, MessageRead, MessageSent
from schemas.ids import pair_key
from schemas.times import format_time

CONVERSATIONS = 10_000
MESSAGES = 0.8
TEXT = "a message of ordinary length, as people write them to each other "
START = 1_750_000_000_000
LOOK_SECONDS = 0.1
SIZES = {"short": (100_000,), "full": (100_000, 1_000_000), "growth": (100_000, 5_000_000)}


@click.command()
@click.option("--json", "for_programs", is_flag=True, help="A line of JSON for each trial.")
@click.option("--short", "length", flag_value="short", help="100 thousand events.")
@click.option("--growth", "length", flag_value="growth", help="Up to 5 million events.")
def main(*, for_programs: bool, length: str | None) -> None:
    """Measure the projections."""
    for events in SIZES[length or "full"]:
        for trial in asyncio.run(measure(events)):
            print(json.dumps(trial) if for_programs else "  ".join(f"{name} {value}" for name, value in trial.items()))


async def measure(events: int) -> list[dict[str, Any]]:
    """Run both on a log with so many events."""
    async with _servers() as settings:
        written = await _write(settings, events)
        live = await _timed(settings, "live", ("worker", "--instance", "bench"), written, "chat_g1")
        await _promoted(settings)
        rebuilt = await _timed(settings, "rebuild", ("rebuild",), written, "chat_g2", whole=True)
        return [live, rebuilt]


async def _timed(
    settings: Settings, name: str, command: tuple[str, ...], events: int, schema: str, *, whole: bool = False
) -> dict[str, Any]:
    """Run a command until the tables have everything; `whole`: until it ends, with a live worker beside it.

    The clock starts when the first record is in the tables: what a start takes is not a rate.
    """
    watched = Watched(await _chat(settings, *command))
    helper = await _chat(settings, "worker", "--instance", "bench") if whole else None
    try:
        begun, first = await _reached(settings, schema, 1, watched)
        ended, _ = await _reached(settings, schema, events, watched)
        if whole and await watched.ended():
            raise click.ClickException("chat rebuild failed")
        ended = time.perf_counter() if whole else ended
    finally:
        await watched.end()
        if helper is not None:
            await Watched(helper).end()
    seconds = ended - begun
    return {
        "measure": f"{name}, {events:,} events",
        "events_per_second": round((events - first) / seconds),
        "seconds": round(seconds, 2),
        "memory_mb": watched.memory // 2**20,
        "cpu_us_per_event": round(watched.cpu / events * 1e6, 1),
    }


class Watched:
    """A process and its children: their memory and processor time, at most."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.memory = 0
        self.cpu = 0.0

    def look(self) -> None:
        """Take what they use now."""
        try:
            root = psutil.Process(self._process.pid)
            all_of_it = [root, *root.children(recursive=True)]
            self.memory = max(self.memory, *(process.memory_info().rss for process in all_of_it))
            self.cpu = max(self.cpu, sum(sum(process.cpu_times()[:2]) for process in all_of_it))
        except psutil.NoSuchProcess:
            return

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self._process.returncode is not None

    async def ended(self) -> int:
        """Wait for the end, and return the status."""
        while self._process.returncode is None:
            self.look()
            await asyncio.wait({asyncio.ensure_future(self._process.wait())}, timeout=LOOK_SECONDS)
        return self._process.returncode

    async def end(self) -> None:
        """End it in good order."""
        if self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


async def _chat(settings: Settings, *command: str) -> asyncio.subprocess.Process:
    assert settings.kafka_bootstrap_servers
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.cli",
        *command,
        env={
            **os.environ,
            "CHAT_HOME": str(settings.home),
            "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "DATABASE_URL": settings.database(),
        },
        stdout=asyncio.subprocess.DEVNULL,
    )


async def _reached(settings: Settings, schema: str, events: int, watched: Watched) -> tuple[float, int]:
    """Return when so many events are in the tables, and how many they are then."""
    connection = await asyncpg.connect(settings.database())
    select = f"SELECT sum(next_offset) FROM {schema}.positions WHERE topic = $1"  # noqa: S608 - one of ours
    try:
        while True:
            watched.look()
            try:
                stand = await connection.fetchval(select, topics.CONVERSATIONS) or 0
            except asyncpg.UndefinedTableError:
                stand = 0
            if stand >= events:
                return time.perf_counter(), int(stand)
            if watched.has_ended:
                raise click.ClickException(f"it ended at {stand:,} of {events:,} events")
            await asyncio.sleep(LOOK_SECONDS / 5)
    finally:
        await connection.close()


async def _promoted(settings: Settings) -> None:
    """Have the first generation made live, which its worker does once it has caught up."""
    worker = Watched(await _chat(settings, "worker", "--instance", "bench"))
    connection = await asyncpg.connect(settings.database())
    try:
        while not await connection.fetchval("SELECT count(*) FROM chat.generations WHERE state = 'live'"):
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()
        await worker.end()


@asynccontextmanager
async def _servers() -> AsyncIterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="chat-projection-") as directory:
        home = Path(directory)
        # The database's own account has to pass through.
        home.chmod(0o755)
        broker = prepare_kafka(home / "kafka", home / "logs", brokers=1, progress=lambda _: None)
        postgres = prepare_postgres(home / "postgres", home / "logs", progress=lambda _: None)
        async with serving((*broker.parts, postgres.part)):
            given = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "DATABASE_URL": postgres.url}
            yield load_settings({"CHAT_HOME": str(home), **given})


async def _write(settings: Settings, events: int) -> int:
    """Fill the log, and return how many events there are."""
    log = await log_start.ensure(settings)
    producer = kafka.producer(settings)
    await producer.start()
    waiting: list[Any] = []
    for number, (partition, event) in enumerate(_history(events, log.partitions)):
        sealed = seal(event, ce_id=f"bench-{number}", source="/chat/edges/bench", time=format_time(START + number))
        waiting.append(
            await producer.send(
                topics.CONVERSATIONS, sealed.value, key=sealed.key, partition=partition, headers=sealed.headers
            )
        )
        if len(waiting) >= 5_000:
            await asyncio.gather(*waiting)
            waiting.clear()
    await asyncio.gather(*waiting)
    await producer.stop()
    return events


def _history(events: int, partitions: int) -> Iterator[tuple[int, ConversationEvent]]:
    """Yield events and their partitions, as writers without lag vouch for them."""
    chance = random.Random(1)
    ends = [0] * partitions
    newest: dict[int, MessageSent | None] = {}
    seqs: dict[int, int] = {}
    for number in range(events):
        chosen = chance.randrange(CONVERSATIONS)
        conversation, lower, higher = chosen + 1, 2 * chosen + 1, 2 * chosen + 2
        partition = (murmur2(pair_key(lower, higher).encode()) & 0x7FFFFFFF) % partitions
        as_of, at = AsOf(ends[partition], seqs.get(chosen, 0)), format_time(START + number)
        ends[partition] += 1
        if chosen not in newest:
            newest[chosen], seqs[chosen] = None, 0
            yield (
                partition,
                ConversationOpened(
                    conversation_id=conversation, user_id=lower, other_user_id=higher, opened_at=at, as_of=as_of
                ),
            )
            continue
        last = newest[chosen]
        if last is not None and chance.random() > MESSAGES:
            yield partition, MessageRead(
                message_id=last.message_id, conversation_id=conversation, reader_id=last.recipient_id,
                sender_id=last.sender_id, up_to_seq=seqs[chosen], read_at=at,
            )  # fmt: skip
            continue
        sender, recipient = chance.sample((lower, higher), 2)
        seqs[chosen] += 1
        sent = MessageSent(
            message_id=CONVERSATIONS + number, conversation_id=conversation, sender_id=sender, recipient_id=recipient,
            content=TEXT, content_type="text", client_id=f"client-{number}", sent_at=at, as_of=as_of,
        )  # fmt: skip
        newest[chosen] = sent
        yield partition, sent


if __name__ == "__main__":
    main()
