import ast
import subprocess
import sys

import pytest

from . import mutants

SOURCE = """
def clamp(value, low, high):
    if not low <= value < high and value != 7:
        return value + 1 - low
    return value is None or value in ()
"""


def changes(source: str) -> list[str]:
    return [mutants.mutant(source, number)[1] for number in range(mutants.count(source))]


def test_each_rule_is_turned_round_once() -> None:
    said = [change.partition("->")[2].strip() for change in changes(SOURCE)]

    assert sorted(said) == sorted(
        [
            "low < value < high",
            "low <= value <= high",
            "low <= value < high",
            "value == 7",
            "not low <= value < high or value != 7",
            "value - 1",
            "value + 1 + low",
            "value is not None",
            "value not in ()",
            "value is None and value in ()",
        ]
    )


def test_a_mutant_says_its_line_and_compiles() -> None:
    tree, change = mutants.mutant("a = 1\nb = a + 2\n", 0)

    assert change == "2: a + 2  ->  a - 2"
    assert ast.unparse(tree) == "a = 1\nb = a - 2"


@pytest.mark.parametrize("module", mutants.MODULES)
def test_each_module_has_a_test_file_of_its_own(module: str) -> None:
    assert (mutants.ROOT / module).is_file()
    assert (mutants.ROOT / mutants.test_file(module)).is_file()


@pytest.mark.slow
def test_the_tests_of_a_module_run_against_the_mutant() -> None:
    module = "protocol/ulid.py"
    # In a process of its own: this one's children would have its threads and its greenlets.
    ran = subprocess.run(
        [sys.executable, "-m", "mutants", "--jobs", "1", module],
        cwd=mutants.ROOT / "tests",
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    count = mutants.count((mutants.ROOT / module).read_text())
    assert ran.stdout.endswith(f"{count} of {count}  {module}\n")
