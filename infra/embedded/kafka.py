"""Apache Kafka as child processes: one broker, or a cluster of three, each a broker and a controller (KRaft).

`prepare_kafka` lays out the directories, once for each home; who called it starts the parts that it returns.
"""

import base64
import json
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infra.embedded.aot import aot_options
from infra.embedded.jars import class_path
from infra.embedded.java import find_java
from infra.embedded.ports import LOOPBACK, kept_ports
from infra.kafka import wait_for_broker
from infra.once import write_once
from infra.part import Part, Progress, StartError

LOGGING = Path(__file__).with_name("log4j2.properties")
# The heap begins small and rarely grows: half of the default's memory at rest. No files for jps in /tmp.
JVM = ("-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Dlog4j2.configurationFile={LOGGING}")

BROKER: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    # Topics are declared in schemas/topics.py; a misspelt name must not make one.
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    # One group of a few workers: nothing to spread, nobody to wait for.
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # Threads and buffers for a laptop; the cleaner's default alone is 128 MB.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "16777216",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Kafka:
    """A cluster that is laid out: where clients find it, and its brokers."""

    bootstrap_servers: str
    parts: tuple[Part, ...]


def prepare_kafka(directory: Path, logs: Path, *, brokers: int | None, progress: Progress) -> Kafka:
    """Fetch what is missing, lay out the cluster, choose its ports; blocks. Raises StartError.

    `brokers` None: as many as there are, one in a new home.
    """
    java, jars = find_java(), class_path(progress)
    directory.mkdir(parents=True, exist_ok=True)
    cluster, brokers = _cluster(directory / "cluster.json", brokers)
    ports = kept_ports(directory / "ports.json", 2 * brokers)
    run = (str(java.path), *java.options, *aot_options(java, jars), *JVM, "-cp", jars)
    parts = []
    for node in range(1, brokers + 1):
        state, address = directory / f"broker-{node}", f"{LOOPBACK}:{ports[node - 1]}"
        state.mkdir(exist_ok=True)
        properties = state / "server.properties"
        _write_properties(properties, _properties(node, state, ports))
        if not (state / "data" / "meta.properties").exists():
            progress(f"laying out Kafka broker {node} of {brokers}")
            _format(run, cluster, properties)
        parts.append(
            Part(
                name=f"kafka-{node}",
                command=(*run, "kafka.Kafka", str(properties)),
                log=logs / f"kafka-{node}.log",
                directory=state,
                ready=partial(wait_for_broker, address, node),
                # In good order even then: otherwise it reads its logs through at the next start.
                orphan_signal=signal.SIGTERM,
                slice_ms=0.1,
            )
        )
    return Kafka(bootstrap_servers=",".join(f"{LOOPBACK}:{port}" for port in ports[:brokers]), parts=tuple(parts))


def _cluster(file: Path, brokers: int | None) -> tuple[str, int]:
    """Return this home's cluster id and number of brokers, both settled at the first start."""
    write_once(file, json.dumps({"id": _new_id(), "brokers": brokers or 1}))
    cluster = json.loads(file.read_text(encoding="ascii"))
    there: int = cluster["brokers"]
    if brokers not in {None, there}:
        # New controllers know nothing of the log and would be a majority: they could elect an empty one.
        raise StartError(f"{file.parent} has {there} broker(s), not {brokers}: use another CHAT_HOME, or no --brokers")
    return cluster["id"], there


def _new_id() -> str:
    """Return a random cluster id as Kafka makes them: none begins with a dash, which its tools take for an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made


def _properties(node: int, state: Path, ports: list[int]) -> dict[str, str]:
    brokers = len(ports) // 2
    replicas = str(min(3, brokers))
    in_sync = "2" if brokers >= 3 else "1"
    broker, controller = ports[node - 1], ports[brokers + node - 1]
    voters = (f"{voter}@{LOOPBACK}:{port}" for voter, port in enumerate(ports[brokers:], start=1))
    return {
        **BROKER,
        "node.id": str(node),
        "listeners": f"PLAINTEXT://{LOOPBACK}:{broker},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{broker}",
        # Voters by configuration, not in the log: their ports may differ at the next start.
        "controller.quorum.voters": ",".join(voters),
        "log.dirs": str((state / "data").resolve()),
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def _write_properties(path: Path, properties: Mapping[str, str]) -> None:
    # Java reads a backslash as an escape.
    lines = (f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in properties.items())
    path.write_text("".join(lines), encoding="utf-8")


def _format(run: tuple[str, ...], cluster: str, properties: Path) -> None:
    tool = (*run, "kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", str(properties))
    done = subprocess.run(  # noqa: S603
        tool, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise StartError(f"Kafka cannot lay out {properties.parent}: {said[-1]}")
