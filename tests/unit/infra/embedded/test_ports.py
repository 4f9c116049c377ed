import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.embedded import ports
from infra.embedded.ports import LOOPBACK, free_ports, is_free, kept_ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_taken(taken: int) -> None:
    assert not is_free(taken)


def test_ports_are_free_and_different_the_wanted_ones_first(taken: int) -> None:
    (wanted,) = free_ports(1)
    found = free_ports(4, [taken, wanted])
    assert found[0] == wanted
    assert len(set(found)) == 4
    assert taken not in found


def test_the_same_ports_are_taken_again_as_far_as_they_are_free(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = kept_ports(file, 3)
    assert kept_ports(file, 3) == first
    with socket.socket() as listener:
        listener.bind((LOOPBACK, first[1]))
        listener.listen()
        assert kept_ports(file, 3)[:2] == [first[0], first[2]]


def test_a_broken_note_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    assert len(kept_ports(tmp_path / "ports.json", 2)) == 2


def test_ports_that_outgoing_connections_may_have_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(port < 32_768 for port in free_ports(100))
    monkeypatch.setattr(ports, "OFFERED", range(20_000, 20_002))
    with pytest.raises(OSError, match="no 3 ports are free between 20000 and 20001"):
        free_ports(3)
