"""docs/faults.md names every fault, and nothing that is not there."""

import re
from pathlib import Path

import pytest
from faults.chaos import FULL, SHORT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text()


@pytest.mark.parametrize("name", FULL.keys() | SHORT.keys())
def test_each_fault_of_make_chaos_is_in_the_table(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_files_and_tests_that_it_names_are_there() -> None:
    files = set(re.findall(r"`(tests/[^`]+)`", PAGE))
    tests = set(re.findall(r"`(test_\w+)…?`", PAGE))
    functions = "".join(path.read_text() for path in (ROOT / "tests" / "actors").rglob("test_*.py"))

    assert [file for file in files if not (ROOT / file).exists()] == []
    assert len(tests) >= 5
    assert [name for name in tests if f"def {name}" not in functions] == []
