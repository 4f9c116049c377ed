"""Choose loopback ports: the same as last time where they are free, otherwise any that is."""

import errno
import json
import socket
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import SystemRandom

LOOPBACK = "127.0.0.1"
OFFERED = range(16_000, 32_000)
"""Below those that systems give to outgoing connections, which would take one before its server has started."""
TRIED = 1_000
# Not the common one: a program that has seeded it would choose as another one does in the same moment.
_CHANCE = SystemRandom()


def try_port(port: int, host: str) -> None:
    """Take a port for a moment; OSError when no server could. One that has just stopped is no hindrance."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def is_free(port: int) -> bool:
    """Tell whether a server could listen there on loopback now."""
    try:
        try_port(port, LOOPBACK)
    except OSError:
        return False
    return True


def free_ports(count: int, wanted: Iterable[int] = ()) -> list[int]:
    """Return that many different free ports, the wanted ones first; OSError when there are not so many."""
    ports = [port for port in dict.fromkeys(wanted) if is_free(port)][:count]
    offered = _CHANCE.sample(OFFERED, min(len(OFFERED), TRIED))
    ports += islice((port for port in offered if port not in ports and is_free(port)), count - len(ports))
    if len(ports) < count:
        raise OSError(errno.EADDRINUSE, f"no {count} ports are free between {OFFERED[0]} and {OFFERED[-1]}")
    return ports


def kept_ports(file: Path, count: int) -> list[int]:
    """Return ports that a server under this home had last time, as far as they are free, and note them."""
    last: list[int] = []
    with suppress(FileNotFoundError, ValueError):
        last = json.loads(file.read_text(encoding="ascii"))
    ports = free_ports(count, last)
    file.write_text(json.dumps(ports), encoding="ascii")
    return ports
