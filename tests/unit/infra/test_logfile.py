from pathlib import Path

import pytest

from infra import logfile


def test_a_file_past_its_bound_is_shortened_in_place_and_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "part.log"
    with logfile.appending(path) as child:
        child.write(b"x" * 100)
        child.flush()
        logfile.bound(path, limit=10)
        child.write(b"after\n")
    assert path.read_bytes() == b"after\n"
    assert path.with_name("part.log.1").stat().st_size == 100


def test_a_file_that_cannot_be_kept_is_shortened_nevertheless(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_bytes(b"x" * 100)
    path.with_name("part.log.1").mkdir()
    with pytest.raises(IsADirectoryError):
        logfile.bound(path, limit=10)
    assert path.stat().st_size == 0


def test_a_small_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    path.write_bytes(b"x")
    logfile.bound(path)
    assert [file.name for file in tmp_path.iterdir()] == ["part.log"]


def test_the_last_lines_are_those_with_something_in_them(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    assert logfile.last_lines(path, 2) == []
    path.write_text("one\ntwo\n\nthree\n\n")
    assert logfile.last_lines(path, 2) == ["two", "three"]
