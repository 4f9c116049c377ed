"""Write a run where people read it: the page, the plots, every number; and say what moved since the last one.

The last one is what the repository has committed, so a run compares with what is known, not with the run before.
"""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import msgspec

from benchmarks import report, tables
from benchmarks.comparison import compare
from benchmarks.profiles import PARTS
from benchmarks.results import Run, read, write

ROOT = Path(__file__).parent.parent
PUBLISHED = Path("docs/benchmarks")


def publish(run: Run, out: Path, home: Path, *, add: bool) -> None:
    """Write the page, the plots and the numbers, and say what moved."""
    last = _committed()
    if add and (out / "results.json").exists():
        run.keep(read((out / "results.json").read_bytes()))
    out.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        if (home / f"{name}.svg").exists():
            shutil.copyfile(home / f"{name}.svg", out / f"{name}.svg")
    graphs = [f"{name}.svg" for name in PARTS if (out / f"{name}.svg").exists()]
    (out / "results.json").write_bytes(write(run))
    for name, plot in report.plots(run).items():
        (out / name).write_text(plot, encoding="utf-8")
    (out / "README.md").write_text(report.page(run, last, graphs), encoding="utf-8")
    print(tables.of_targets(run))
    print()
    print(tables.of_changes(compare(last, run)) if last else "There is no committed result to compare with.")
    for failure in run.failures:
        print(f"not measured: {failure}")
    print(f"\n{out.relative_to(ROOT) if out.is_relative_to(ROOT) else out}/README.md has the rest")


def _committed() -> Run | None:
    """Return the last committed result, or None."""
    git = shutil.which("git")
    command = (git or "git", "show", f"HEAD:{PUBLISHED}/results.json")
    with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
        said = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)  # noqa: S603
        return read(said.stdout) if said.returncode == 0 else None
    return None
