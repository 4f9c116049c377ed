"""Make Java's ahead-of-time cache of Kafka (aot.py): start a broker, use it for a moment, and keep what Java saw.

Takes some twenty seconds of one processor, once for a Java and a set of jars, beside everything else, which goes first.
"""

import asyncio
import dataclasses
import fcntl
import shutil
import signal
import tempfile
from pathlib import Path

from aiokafka.errors import KafkaError

from infra import kafka, log_start
from infra.child import Child
from infra.embedded.aot import aot_cache
from infra.embedded.jars import cache, class_path
from infra.embedded.java import find_java
from infra.embedded.kafka import prepare_kafka
from infra.log_reader import LogReader
from infra.part import Progress, StartError
from infra.settings import load_settings
from schemas.ids import Partition
from schemas.topics import CONVERSATIONS

PREFIX = "training-"
STOP_SECONDS = 300
"""What the broker saw is written down when it stops, and with the lowest priority that may take its time."""

USE_SECONDS = 300
RECORDS = 2_000
RECORD = b"." * 400
HEADERS = [(f"header-{number}", b"." * 20) for number in range(6)]


async def train(logs: Path, progress: Progress) -> None:
    """Make the cache unless it is there or is being made. StartError, whatever stands in the way: all works without."""
    try:
        await _train(logs, progress)
    except OSError as error:
        # Who runs a system beside this says it, and goes on.
        raise StartError(f"Java was not taught: {error}") from error


async def _train(logs: Path, progress: Progress) -> None:
    java = find_java()
    kept = aot_cache(java, class_path(_silently))
    if not java.keeps_starts or kept.exists():
        return
    with (cache() / "training.lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        for broken_off in cache().glob(f"{PREFIX}*"):
            shutil.rmtree(broken_off, ignore_errors=True)
        progress("teaching Java to start Kafka faster from now on; takes a while in the background, once")
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=cache(), ignore_cleanup_errors=True) as directory:
            seen = Path(directory) / "seen.aot"
            await _start_and_stop(Path(directory), seen, logs)
            seen.replace(kept)
        for other in set(cache().glob("*.aot")) - {kept}:
            other.unlink()


async def _start_and_stop(directory: Path, seen: Path, logs: Path) -> None:
    cluster = await asyncio.to_thread(prepare_kafka, directory, logs, brokers=1, progress=_silently)
    (broker,) = cluster.parts
    java, *arguments = broker.command
    part = dataclasses.replace(
        broker,
        name="kafka-training",
        log=logs / "kafka-training.log",
        command=("nice", "-n", "19", java, f"-XX:AOTCacheOutput={seen}", *arguments),
        stop_seconds=STOP_SECONDS,
    )
    child = await Child.start(part)
    try:
        await child.ready()
        async with asyncio.timeout(USE_SECONDS):
            await use(directory, cluster.bootstrap_servers)
        await child.stop()
        _require(seen, child)
    except (KafkaError, OSError) as error:
        raise StartError(f"Java was not taught: {part.name} does not answer ({error!r})") from error
    finally:
        if child.status is None:
            child.kill()
            await child.ended()


def _require(seen: Path, child: Child) -> None:
    """StartError unless Java wrote down all of it; killed, for want of memory or time, it wrote nothing or a part."""
    if child.status == -signal.SIGKILL or not seen.exists():
        raise StartError(f"Java was not taught: {child.part.name} kept nothing; it {child.obituary()}")


async def use(home: Path, bootstrap_servers: str) -> None:
    """Append records one by one and read them, as edges do: Java keeps how that ran, and compiles it sooner."""
    settings = load_settings({"CHAT_HOME": str(home), "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers})
    await log_start.ensure(settings)
    producer, reader = kafka.producer(settings), LogReader(settings)
    try:
        await producer.start()
        await reader.start()
        reader.read_from({Partition(CONVERSATIONS, 0): 0})
        for _ in range(RECORDS):
            await producer.send_and_wait(CONVERSATIONS, RECORD, key=b"1:2", partition=0, headers=HEADERS)
            await reader.records(wait=1, most=100)
    finally:
        await reader.stop()
        await kafka.stop(producer)


def _silently(_: str) -> None:
    pass
