import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.once import write_once


def test_what_is_there_stays_and_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_once(path, "first")
    write_once(path, "second")
    assert path.read_text() == "first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_of_those_who_write_at_once_the_first_is_right(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write_and_read(number: int) -> str:
        write_once(path, str(number))
        return path.read_text()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(write_and_read, range(16)))) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_it_has_its_name_only_when_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    named: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: named.append(path.exists()))
    write_once(path, "text")
    # The file before, and its directory afterwards.
    assert named == [False, True]


def test_where_it_cannot_be_written_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_once(tmp_path / "file", "text")
    assert list(tmp_path.iterdir()) == []
