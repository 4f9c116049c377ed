import socket
from dataclasses import replace
from pathlib import Path

import pytest

from infra import system
from infra.embedded.ports import LOOPBACK, free_ports
from infra.embedded.postgres import Postgres
from infra.part import Progress, StartError
from infra.settings import Settings, load_settings
from infra.system import Wanted, lay_out
from tests.support.parts import shell_part

GIVEN = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092", "DATABASE_URL": "postgresql://db/chat"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (port,) = free_ports(1)
    return load_settings({"CHAT_HOME": str(tmp_path / "home"), "CHAT_PORT": str(port), **GIVEN})


def silent(_: str) -> None:
    pass


def test_on_given_servers_only_edges_and_workers_are_started(settings: Settings) -> None:
    found = lay_out(settings, Wanted(), silent)
    assert [[part.name for part in group] for group in found.start_order] == [[], ["worker-1", "edge-1"]]
    (edge,) = found.edges
    assert edge.environ.items() >= GIVEN.items()
    # On servers that others use too, a name says whose it is.
    assert edge.environ["CHAT_NAME"] == f"{socket.gethostname()}-{settings.port}-edge-1"


def test_one_edge_has_one_address(settings: Settings) -> None:
    found = lay_out(settings, Wanted(), silent)
    assert found.edge_urls == (found.url,) == (f"http://{LOOPBACK}:{settings.port}",)
    assert found.edges[0].environ["CHAT_OWN_PORT"] == "0"


def test_several_edges_share_an_address_and_each_has_its_own(settings: Settings) -> None:
    found = lay_out(settings, Wanted(edges=3, workers=2), silent)
    assert {edge.environ["CHAT_PORT"] for edge in found.edges} == {str(settings.port)}
    own = [int(edge.environ["CHAT_OWN_PORT"]) for edge in found.edges]
    assert len(set(own) - {settings.port}) == 3
    assert found.edge_urls == tuple(f"http://{LOOPBACK}:{port}" for port in own)
    assert [worker.environ["CHAT_NAME"][-8:] for worker in found.workers] == ["worker-1", "worker-2"]


@pytest.mark.parametrize(("edges", "workers", "needed"), [(1, 1, 100), (32, 32, 640)])
def test_postgres_has_room_for_all_of_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, edges: int, workers: int, needed: int
) -> None:
    made: list[int] = []

    def prepare(directory: Path, logs: Path, *, progress: Progress, connections: int) -> Postgres:
        progress(f"{directory} {logs}")
        made.append(connections)
        return Postgres(url="postgresql://here", part=shell_part(directory, ""))

    monkeypatch.setattr(system, "prepare_postgres", prepare)
    found = lay_out(replace(settings, database_url=None), Wanted(edges=edges, workers=workers), silent)
    assert found.servers.database_url == "postgresql://here"
    assert made[0] >= needed


def test_edges_stop_first_and_what_they_write_to_last(settings: Settings) -> None:
    found = lay_out(settings, Wanted(), silent)
    assert found.stop_order == (found.edges, found.workers, (), ())


def test_a_taken_port_is_one_line(settings: Settings) -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, settings.port))
        listener.listen()
        with pytest.raises(StartError, match=f"^port {settings.port} of 127.0.0.1 is taken: choose another"):
            lay_out(settings, Wanted(), silent)


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_an_address_that_is_not_this_machines_is_one_line(settings: Settings, host: str) -> None:
    with pytest.raises(StartError, match=rf"^nobody can listen on port {settings.port} of {host} \(CHAT_PORT, CHAT_H"):
        lay_out(replace(settings, host=host), Wanted(), silent)


@pytest.mark.parametrize(("host", "reached"), [("0.0.0.0", LOOPBACK), ("::1", "[::1]"), ("localhost", "localhost")])
def test_a_client_is_told_an_address_that_it_can_use(settings: Settings, host: str, reached: str) -> None:
    found = lay_out(replace(settings, host=host), Wanted(), silent)
    assert found.url == f"http://{reached}:{settings.port}"


def test_there_are_edges_above_the_last_port(settings: Settings) -> None:
    found = lay_out(replace(settings, port=65_530), Wanted(edges=3), silent)
    assert len(set(found.edge_urls)) == 3


def test_a_full_disk_is_one_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "DISK_BYTES", 2**60)
    with pytest.raises(StartError, match=r"^the disk of .* is full: \d+ MB are left, \d+ MB are needed$"):
        lay_out(settings, Wanted(), silent)


def test_a_home_that_cannot_be_made_is_one_line(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match=r"cannot be used: Not a directory; choose another with CHAT_HOME$"):
        lay_out(replace(settings, home=tmp_path / "file" / "home"), Wanted(), silent)
