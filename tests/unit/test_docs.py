"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
FILE = re.compile(r"`((?:schemas|infra|command_api|projections|gateway|tests|benchmarks|docs)/[\w./-]*[\w-]\.\w+)`")
WRITTEN_BY_MAKE_BENCH = ROOT / "docs" / "benchmarks"
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = {(page.parent / link).resolve() for link in LINK.findall(text)} - {WRITTEN_BY_MAKE_BENCH}
    assert {target for target in targets if not target.exists()} == set()


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {name for name in FILE.findall(text) if not is_to_be_made(page, name)}
    assert {name for name in named if not (ROOT / name).exists()} == set()


def is_to_be_made(page: Path, name: str) -> bool:
    """Tell whether the tutorial only speaks of it: its feature does not exist."""
    return page.name == "add-an-event.md" and "pin" in Path(name).name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_every_setting_is_in_the_operating_page() -> None:
    asked = re.findall(
        r'"(CHAT_[A-Z_]+|DATABASE_URL|KAFKA_BOOTSTRAP_SERVERS)"', (ROOT / "infra/settings.py").read_text()
    )
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    assert {name for name in asked if not name.endswith("_") and f"`{name}`" not in page} == set()
