import os
from pathlib import Path

import pytest

from infra.embedded.aot import aot_cache, aot_options
from infra.embedded.java import Java


def installed(home: Path, version: str) -> Java:
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'JAVA_VERSION="{version}"')
    return Java(home / "bin" / "java", keeps_starts=True)


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Java:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "a.jar").touch()
    return installed(tmp_path / "one", "25.0.2")


def test_the_cache_is_used_once_it_is_there(java: Java, tmp_path: Path) -> None:
    jars = str(tmp_path / "a.jar")
    assert aot_options(java, jars) == ()
    cache = aot_cache(java, jars)
    cache.parent.mkdir(parents=True)
    cache.touch()
    assert aot_options(java, jars)[0] == f"-XX:AOTCache={cache}"
    assert aot_options(java._replace(keeps_starts=False), jars) == ()


def test_the_same_java_installed_twice_shares_it(java: Java, tmp_path: Path) -> None:
    jars = str(tmp_path / "a.jar")
    assert aot_cache(installed(tmp_path / "two", "25.0.2"), jars) == aot_cache(java, jars)


def test_another_java_or_a_jar_that_was_touched_needs_another_cache(java: Java, tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    first = aot_cache(java, str(jar))
    assert aot_cache(java, str(jar)) == first
    os.utime(jar, (1, 1))
    second = aot_cache(java, str(jar))
    third = aot_cache(installed(tmp_path / "two", "25.0.3"), str(jar))
    assert len({first, second, third}) == 3
