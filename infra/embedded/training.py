"""Make Java's ahead-of-time cache of Kafka's start (aot.py): start a broker that nobody uses, and keep what Java saw.

Takes some ten seconds of one processor, once for a Java and a set of jars, beside everything else, which goes first.
"""

import asyncio
import dataclasses
import fcntl
import shutil
import tempfile
from pathlib import Path

from infra.child import Child
from infra.embedded.aot import aot_cache
from infra.embedded.jars import cache, class_path
from infra.embedded.java import find_java
from infra.embedded.kafka import prepare_kafka
from infra.part import Progress

PREFIX = "training-"
STOP_SECONDS = 300
"""What the broker saw is written down when it stops, and with the lowest priority that may take its time."""


async def train(logs: Path, progress: Progress) -> None:
    """Make the cache unless it is there or is being made. StartError when the broker does not come up."""
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
            for other in cache().glob("*.aot"):
                other.unlink()
            seen.replace(kept)


async def _start_and_stop(directory: Path, seen: Path, logs: Path) -> None:
    kafka = await asyncio.to_thread(prepare_kafka, directory, logs, brokers=1, progress=_silently)
    (broker,) = kafka.parts
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
        await child.stop()
    finally:
        if child.status is None:
            child.kill()
            await child.ended()


def _silently(_: str) -> None:
    pass
