from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.loadgen import LoadGenerator
from benchmarks.plan import SHORT
from benchmarks.results import Run


async def test_a_part_that_fails_is_kept_by_its_name_and_the_next_goes_on(tmp_path: Path) -> None:
    run = Run(kind="short", begun="")
    bench = Bench(run=run, plan=SHORT, generator=LoadGenerator(tmp_path), home=tmp_path, say=lambda _: None)

    async def fails(_: Bench) -> None:
        raise OSError("no room")

    async def works(bench: Bench) -> None:
        bench.run.add("chat", "closed", {"delivered_per_s": 1.0})

    await bench.part("growth: sockets", fails, 1)
    await bench.part("sockets", works, 1)
    assert run.failures == ["growth: sockets: no room"]
    assert run.parts == ["growth: sockets", "sockets"]
    assert run.find("chat", "closed") is not None
