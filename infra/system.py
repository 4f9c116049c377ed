"""What `chat up` runs: Kafka and Postgres, unless real ones are given, and workers and edges on them.

Lays everything out and says what the processes are; supervisor.py keeps them running.
"""

import asyncio
import errno
import shutil
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from infra.embedded.kafka import prepare_kafka
from infra.embedded.ports import LOOPBACK, free_ports, try_port
from infra.embedded.postgres import prepare_postgres
from infra.http_client import wait_until_ready
from infra.part import Part, Progress, StartError
from infra.postgres import MOST_CONNECTIONS
from infra.settings import Settings

DISK_BYTES = 512 * 1024 * 1024
OTHER_CONNECTIONS = 80
"""To Postgres, besides those of edges and workers: rebuilding, commands, people who look."""
OWN_PORTS_FROM = 10
"""With several edges the first one's own port is this far above the shared one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """How much of it; `brokers` None: as many as this home has, one in a new home."""

    brokers: int | None = None
    edges: int = 1
    workers: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Servers:
    """Kafka and Postgres: their addresses, and their processes where they are ours."""

    kafka_bootstrap_servers: str
    database_url: str
    kafka: tuple[Part, ...]
    postgres: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class System:
    """The processes in groups, and the addresses that clients use; `edge_urls` has each edge's own."""

    servers: Servers
    workers: tuple[Part, ...]
    edges: tuple[Part, ...]
    url: str
    edge_urls: tuple[str, ...]

    @property
    def start_order(self) -> tuple[tuple[Part, ...], ...]:
        """Groups, each started at once when the one before serves."""
        return (self.servers.kafka + self.servers.postgres, self.workers + self.edges)

    @property
    def stop_order(self) -> tuple[tuple[Part, ...], ...]:
        """Groups, each stopped when the one before has ended: nobody loses what it still writes to."""
        return (self.edges, self.workers, self.servers.kafka, self.servers.postgres)


def lay_out(settings: Settings, wanted: Wanted, progress: Progress) -> System:
    """Fetch, make and choose what is missing; blocks. Raises StartError when something stands in the way."""
    check_port(settings)
    home = settings.home.resolve()
    _check_disk(home)
    try:
        servers = _servers(settings, home, wanted, progress)
    except OSError as error:
        raise StartError(f"{error.filename or home} cannot be used: {error.strerror}") from error
    ours = {
        "CHAT_HOME": str(home),
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
        "DATABASE_URL": servers.database_url,
        "CHAT_HOST": settings.host,
        "CHAT_PORT": str(settings.port),
    }
    # Names are remembered by the log and by consumer groups; on a shared Kafka they must not be another machine's.
    prefix = "" if servers.kafka else f"{socket.gethostname()}-{settings.port}-"
    own_ports = _own_ports(settings.port, wanted.edges)
    edge_urls = tuple(_url(settings.host, port or settings.port) for port in own_ports)
    edges = tuple(
        Part(
            name=f"edge-{number}",
            command=_ourselves("edge"),
            environ={**ours, "CHAT_NAME": f"{prefix}edge-{number}", "CHAT_OWN_PORT": str(port)},
            log=home / "logs" / f"edge-{number}.log",
            ready=partial(wait_until_ready, url),
        )
        for number, (port, url) in enumerate(zip(own_ports, edge_urls, strict=True), start=1)
    )
    workers = tuple(
        Part(
            name=f"worker-{number}",
            command=_ourselves("worker"),
            environ={**ours, "CHAT_NAME": f"{prefix}worker-{number}"},
            log=home / "logs" / f"worker-{number}.log",
            # It has no address; that it works shows in the read tables, which edges tell of.
            ready=partial(asyncio.sleep, 0),
            slice_ms=20,
        )
        for number in range(1, wanted.workers + 1)
    )
    return System(
        servers=servers, workers=workers, edges=edges, url=_url(settings.host, settings.port), edge_urls=edge_urls
    )


def check_port(settings: Settings) -> None:
    """Raise StartError when no edge could listen where clients are to come in."""
    try:
        try_port(settings.port, settings.host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            taken = f"port {settings.port} of {settings.host} is taken"
            raise StartError(f"{taken}: choose another with --port or CHAT_PORT") from error
        raise StartError(
            f"nobody can listen on port {settings.port} of {settings.host} (CHAT_PORT, CHAT_HOST): {error.strerror}"
        ) from error


def _servers(settings: Settings, home: Path, wanted: Wanted, progress: Progress) -> Servers:
    """Take the servers that are given, and lay out those that are not, both at the same time."""
    given_kafka, given_postgres, logs = settings.kafka_bootstrap_servers, settings.database_url, home / "logs"
    # A worker that feeds two generations has as many as an edge.
    connections = MOST_CONNECTIONS * (wanted.edges + wanted.workers) + OTHER_CONNECTIONS
    ours = partial(prepare_postgres, home / "postgres", logs, progress=progress, connections=connections)
    with ThreadPoolExecutor(1) as pool:
        postgres = None if given_postgres else pool.submit(ours)
        # Not in a thread: only the main one is interrupted, and Kafka is what takes minutes to fetch. PostgreSQL's few
        # seconds are waited for even then: its programs would go on, beside those of the next start.
        kafka = None if given_kafka else prepare_kafka(home / "kafka", logs, brokers=wanted.brokers, progress=progress)
    return Servers(
        kafka_bootstrap_servers=given_kafka or (kafka.bootstrap_servers if kafka else ""),
        database_url=given_postgres or (postgres.result().url if postgres else ""),
        kafka=kafka.parts if kafka else (),
        postgres=(postgres.result().part,) if postgres else (),
    )


def _check_disk(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise StartError(f"{home} cannot be used: {error.strerror}; choose another with CHAT_HOME") from error
    if free < DISK_BYTES:
        needed = f"{DISK_BYTES // 2**20} MB are needed"
        raise StartError(f"the disk of {home} is full: {free // 2**20} MB are left, {needed}")


def _own_ports(shared: int, edges: int) -> list[int]:
    """Return a port for each edge of several; 0 for one alone, which needs no other."""
    if edges == 1:
        return [0]
    first = shared + OWN_PORTS_FROM
    return free_ports(edges, range(first, min(first + edges, 65536)))


def _url(host: str, port: int) -> str:
    reached = LOOPBACK if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host
    return f"http://{reached}:{port}"


def _ourselves(subcommand: str) -> tuple[str, ...]:
    # -P: whatever lies in the working directory is not ours.
    return (sys.executable, "-P", "-m", "infra.cli", subcommand)
