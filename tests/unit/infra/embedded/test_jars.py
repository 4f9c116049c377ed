import hashlib
import os
import signal
import threading
from pathlib import Path

import pytest

from infra.embedded import jars
from infra.embedded.jars import Jar, class_path, locked_jars
from infra.part import StartError

CONTENT = b"not really a jar"
JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose Maven has JAR, and whose network has nothing."""
    monkeypatch.setattr(jars, "locked_jars", lambda: (JAR,))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    held = tmp_path / "m2/org/example/thing/1.0/thing-1.0.jar"
    held.parent.mkdir(parents=True)
    held.write_bytes(CONTENT)
    return held


def silent(_: str) -> None:
    pass


def test_kafka_and_what_it_needs_are_locked_with_checksums() -> None:
    locked = locked_jars()
    assert (locked[0].artifact, locked[0].version) == ("kafka_2.13", "4.3.0")
    assert {"kafka-clients", "log4j-core", "log4j-slf4j-impl"} <= {jar.artifact for jar in locked}
    assert all(len(jar.sha256) == 64 for jar in locked)


def test_a_jar_is_fetched_once_and_said_so(maven: Path) -> None:
    said: list[str] = []
    path = class_path(said.append)
    assert said == ["downloading Apache Kafka: 1 files"]
    assert Path(path).read_bytes() == CONTENT

    maven.unlink()
    assert class_path(said.append) == path
    assert len(said) == 1


def test_a_jar_that_was_changed_is_fetched_again(maven: Path) -> None:  # noqa: ARG001 - where it comes from
    path = Path(class_path(silent))
    path.write_bytes(b"changed")
    class_path(silent)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["thing-1.0.jar"]


def test_what_does_not_match_its_checksum_is_not_used(maven: Path) -> None:
    maven.write_bytes(b"something else")
    with pytest.raises(StartError, match="Apache Kafka cannot be fetched"):
        class_path(silent)
    assert list(jars.cache().glob("*.jar")) == []


def test_an_interruption_waits_for_no_jar(maven: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    all_busy, going_on = threading.Barrier(jars.AT_ONCE), threading.Event()
    fetched: list[str] = []

    def fetch(jar: Jar, *_: Path) -> str:
        if not fetched:
            all_busy.wait(30)
        if jar.artifact == "0":
            os.kill(os.getpid(), signal.SIGINT)
        going_on.wait(30)
        fetched.append(jar.file)
        return jar.file

    monkeypatch.setattr(jars, "locked_jars", lambda: tuple(Jar("org.example", str(n), "1.0", "") for n in range(100)))
    monkeypatch.setattr(jars, "_fetch", fetch)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where it is ignored, nothing comes of it
    try:
        with pytest.raises(KeyboardInterrupt):
            class_path(silent)
    finally:
        signal.signal(signal.SIGINT, before)
    assert fetched == []
    going_on.set()
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(30)
    assert len(fetched) == jars.AT_ONCE


def test_what_was_left_behind_is_swept_and_what_others_fetch_is_not(maven: Path) -> None:  # noqa: ARG001
    left, theirs = (jars.cache() / f"{jars.STAGING}{name}" for name in ("left", "theirs"))
    for directory in (left, theirs):
        (directory / "org").mkdir(parents=True)
    os.utime(left, (0, 0))
    class_path(silent)
    assert (left.exists(), theirs.exists()) == (False, True)


def test_a_cache_that_cannot_be_written_is_one_line(maven: Path, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "cache").write_text("a file is in the way")
    with pytest.raises(StartError, match=r"Apache Kafka cannot be fetched into .*Not a directory"):
        class_path(silent)
