from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from infra.environment import Environment, SettingError
from infra.signing import kept_secret, read_algorithms, read_secret


def test_a_secret_is_made_once_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "home" / "jwt-secret"
    first = kept_secret(path, make=True)
    assert first is not None
    assert len(first) >= 64
    assert kept_secret(path, make=True) == first
    assert path.stat().st_mode & 0o777 == 0o600


def test_who_may_not_make_one_finds_the_one_that_is_there_or_none(tmp_path: Path) -> None:
    path = tmp_path / "home" / "jwt-secret"
    assert kept_secret(path, make=False) is None
    assert not path.parent.exists()
    assert kept_secret(path, make=True) == kept_secret(path, make=False)


def test_those_who_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(partial(kept_secret, make=True), [tmp_path / "jwt-secret"] * 16))
    assert len(secrets) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["jwt-secret"]


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="CHAT_HOME: cannot keep a secret at"):
        kept_secret(tmp_path / "file" / "jwt-secret", make=True)


@pytest.mark.parametrize("left", [b"", b"short", b"\xff"])
def test_a_secret_of_which_little_is_left_is_not_taken(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "jwt-secret").write_bytes(left)
    with pytest.raises(SettingError, match=r"CHAT_HOME: .*jwt-secret holds no secret any more: delete it"):
        kept_secret(tmp_path / "jwt-secret", make=True)


def test_a_given_secret_is_as_long_as_its_hash() -> None:
    env = Environment({"CHAT_JWT_ALGORITHMS": "HS256,HS512", "CHAT_JWT_SECRET": "x" * 63})
    with pytest.raises(SettingError, match="CHAT_JWT_SECRET: must have at least 64 bytes for HS256, HS512"):
        read_secret(env, read_algorithms(env))
