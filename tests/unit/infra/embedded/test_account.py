import os
from pathlib import Path

import pytest

from infra.embedded import account
from infra.embedded.account import account_for
from infra.part import Account


@pytest.fixture
def owned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int]]:
    """We are root, and `embedded_postgres` is there; who owns what is only noted."""
    noted: list[tuple[Path, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, _: noted.append((path, uid)))
    monkeypatch.setattr(account, "_account", lambda: Account(uid=4711, gid=4712))
    return noted


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    programs = tmp_path / "install" / "bin"
    programs.mkdir(parents=True)
    (programs / "postgres").touch(mode=0o700)
    return programs


def silent(_: str) -> None:
    pass


def test_who_is_not_root_needs_no_other_account(monkeypatch: pytest.MonkeyPatch, programs: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account_for([programs], programs, silent) is None


def test_root_lends_its_files_to_an_account_that_may_pass_but_not_look_around(
    owned: list[tuple[Path, int]], programs: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    state = private / "state"
    state.mkdir(parents=True)
    private.chmod(0o700)
    said: list[str] = []

    assert account_for([state], programs, said.append) == Account(uid=4711, gid=4712)
    assert owned == [(state, 4711)]
    assert private.stat().st_mode & 0o777 == 0o701
    assert any(str(private) in line for line in said)


@pytest.mark.usefixtures("owned")
def test_programs_that_were_installed_for_their_owner_only_become_readable(programs: Path) -> None:
    programs.chmod(0o700)
    account_for([], programs, silent)
    assert (programs / "postgres").stat().st_mode & 0o007 == 0o005
