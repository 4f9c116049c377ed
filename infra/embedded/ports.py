"""Choose loopback ports: the same as last time where they are free, otherwise any that is."""

import json
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"


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
    """Return that many different free ports, the wanted ones first."""
    ports = [port for port in dict.fromkeys(wanted) if is_free(port)][:count]
    with_socket: list[socket.socket] = []
    while len(ports) < count:
        # Held until all are chosen, so that none is given out twice.
        probe = socket.socket()
        probe.bind((LOOPBACK, 0))
        with_socket.append(probe)
        ports.append(probe.getsockname()[1])
    for probe in with_socket:
        probe.close()
    return ports


def kept_ports(file: Path, count: int) -> list[int]:
    """Return ports that a server under this home had last time, as far as they are free, and note them."""
    last: list[int] = []
    with suppress(FileNotFoundError, ValueError):
        last = json.loads(file.read_text(encoding="ascii"))
    ports = free_ports(count, last)
    file.write_text(json.dumps(ports), encoding="ascii")
    return ports
