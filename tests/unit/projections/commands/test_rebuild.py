"""projections/commands/rebuild.py: what the person at the terminal sees."""

import asyncio
import sys
from pathlib import Path

import pytest

from infra.settings import load_settings
from projections.build import Stage
from projections.commands import rebuild
from projections.commands.rebuild import Progress, describe
from projections.database import Away, Gone


def test_a_stage_has_records_rate_and_time_left() -> None:
    assert describe(Stage("filling", 1_500, 3_000), 500.0) == (
        "filling [############------------] 50%  1,500 of 3,000 records, 500/s, 3 s left"
    )
    assert describe(Stage("filling", 0, 3_000), 0.0).endswith("0 of 3,000 records, 0/s")
    assert describe(Stage("comparing"), 0.0) == "comparing …"


def test_where_nobody_watches_there_is_a_line_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    for done in (0, 10, 20):
        progress.tell(Stage("filling", done, 20))
    progress.tell(Stage("comparing"))
    progress.end()
    assert [line.split(" ")[0] for line in capsys.readouterr().err.splitlines()] == ["filling", "comparing"]


def test_what_stays_is_not_written_over_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress()
    for stage in (Stage("comparing"), Stage("they differ:\n  messages", stays=True), Stage("waiting")):
        progress.tell(stage)
    progress.end()
    beginning = "\r\x1b[K"
    assert capsys.readouterr().err == (
        f"{beginning}comparing …{beginning}they differ:\n  messages\n{beginning}waiting …\n"
    )


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (Gone("chat_g2.positions"), ""),
        (Away("Postgres is away"), "Error: Postgres is away\n"),
    ],
)
def test_a_helper_leaves_it_to_the_leader_to_tell_of_tables_that_are_gone(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    end: Exception,
    said: str,
) -> None:
    async def join(_: object) -> None:
        raise end

    monkeypatch.setattr("projections.commands.process.run", asyncio.run)
    monkeypatch.setattr("projections.rebuild.join", join)
    monkeypatch.setattr(rebuild, "die_with", lambda *_: None)
    rebuild._help(load_settings({"CHAT_HOME": str(tmp_path)}, discover=False), 0)
    assert capsys.readouterr().err == said
