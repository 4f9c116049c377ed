import json
import os
import uuid
from pathlib import Path

import pytest

from infra.embedded import kafka
from infra.embedded.kafka import Kafka, prepare_kafka
from infra.part import StartError


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched and nothing laid out: what would be started is looked at."""
    monkeypatch.setattr(kafka, "class_path", lambda _: __file__)
    monkeypatch.setattr(kafka, "_format", lambda *_: None)


def prepare(home: Path, brokers: int | None) -> Kafka:
    return prepare_kafka(home / "kafka", home / "logs", brokers=brokers, progress=lambda _: None)


def properties(home: Path, node: int) -> dict[str, str]:
    lines = (home / "kafka" / f"broker-{node}" / "server.properties").read_text().splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_one_broker_listens_on_loopback_only_and_keeps_its_port(tmp_path: Path) -> None:
    first = prepare(tmp_path, None)
    assert first.bootstrap_servers == prepare(tmp_path, None).bootstrap_servers
    written = properties(tmp_path, 1)
    assert f"PLAINTEXT://{first.bootstrap_servers}," in written["listeners"]
    assert written["auto.create.topics.enable"] == "false"
    assert written["min.insync.replicas"] == "1"


def test_three_brokers_replicate_everything_three_times(tmp_path: Path) -> None:
    cluster = prepare(tmp_path, 3)
    assert [part.name for part in cluster.parts] == ["kafka-1", "kafka-2", "kafka-3"]
    assert len(set(cluster.bootstrap_servers.split(","))) == 3
    for node in (1, 2, 3):
        written = properties(tmp_path, node)
        assert written["node.id"] == str(node)
        assert len(written["controller.quorum.voters"].split(",")) == 3
        for topic in ("default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
            assert written[f"{topic}.replication.factor"] == "3"
        assert written["min.insync.replicas"] == "2"


def test_no_cluster_id_looks_like_an_option_of_kafkas_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dash, letter = uuid.UUID(int=0xF8 << 120), uuid.UUID(int=0)
    made = iter([dash, letter])
    monkeypatch.setattr(uuid, "uuid4", lambda: next(made))
    prepare(tmp_path, None)
    assert json.loads((tmp_path / "kafka" / "cluster.json").read_text())["id"] == "A" * 22


def test_what_is_settled_at_the_first_start_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: named.append((tmp_path / "kafka" / "cluster.json").exists()))
    prepare(tmp_path, None)
    assert named == [False, True]


def test_a_home_keeps_its_number_of_brokers(tmp_path: Path) -> None:
    prepare(tmp_path, 3)
    assert len(prepare(tmp_path, None).parts) == 3
    with pytest.raises(StartError, match=r"has 3 broker\(s\), not 1: use another CHAT_HOME, or no --brokers"):
        prepare(tmp_path, 1)
