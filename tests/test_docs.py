"""The documentation names files and tests that exist."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|m?js|sql|toml|conf|service))`")
FOLDER = re.compile(r"`((?:[a-z_]+/){2,})`")
TEST = re.compile(r"`(test_\w+)(…?)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@cache
def known_tests() -> frozenset[str]:
    """Every test function of the repository."""
    found = subprocess.run(
        ["git", "grep", "-hoE", r"def test_\w+", "--", "tests"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(line.removeprefix("def ") for line in found.stdout.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_files_that_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    named = [*FILE.findall(text), *FOLDER.findall(text)]

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_to_files_that_exist(page: Path) -> None:
    links = LINK.findall(page.read_text("utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_tests_that_exist(page: Path) -> None:
    named = TEST.findall(page.read_text("utf-8"))

    missing = [
        name
        for name, shortened in named
        if not any(test.startswith(name) if shortened else test == name for test in known_tests())
    ]
    assert missing == []
