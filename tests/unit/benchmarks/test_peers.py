from pathlib import Path

import pytest

from benchmarks import loadgen
from benchmarks.bench import Bench
from benchmarks.loadgen import LoadGenerator
from benchmarks.peers import peers
from benchmarks.plan import FULL
from benchmarks.results import Run

BENCH = """
for run in $(seq "$RUNS"); do
    for rate in 500 20; do
        echo '{"label": "'$1'", "mode": "open", "rate": '$rate', "delivered_per_s": '$run'}' >> "$OUT"
    done
done
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    generator = LoadGenerator(tmp_path / "loadgen")

    async def build(directory: Path, _: Path) -> LoadGenerator:
        directory.mkdir()
        return generator

    monkeypatch.setattr(loadgen, "build", build)
    run = Run(kind="full", begun="")
    return Bench(run=run, plan=FULL, generator=generator, home=tmp_path, say=lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of servers with one that only says that it was measured."""
    made = tmp_path / "folder"
    made.mkdir()
    (made / "bench.sh").write_text(BENCH)
    (made / "tinode.sh").touch()
    return made


async def test_the_first_of_each_load_only_heats_the_server(
    bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNS", "1")
    await peers(bench, folder)
    assert [(one.name, [trial["delivered_per_s"] for trial in one.trials]) for one in bench.run.measures] == [
        ("open", [2, 3, 4]),
        ("open, 20 a second", [2, 3, 4]),
    ]
