"""The short form of ``python -m faults.chaos``: each fault once, small, on whole systems."""

import os

import pytest
from faults.chaos import SHORT, line
from faults.scenarios import seed_of
from processor import time_scale

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.slow,
    pytest.mark.timing,
    pytest.mark.timeout(300),
]

SEED = seed_of()
NEEDS_ROOT = {"full-disk"}


@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_and_nothing_is_there_twice(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside other tests; `make chaos` has the machine for itself, and is held to the goals.
    monkeypatch.setenv("CHAOS_SLACK", str(4 * time_scale()))
    if name in NEEDS_ROOT and os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root only")
    outcome = SHORT[name](seed=SEED)

    assert outcome.passed, f"seed {SEED}: {line(outcome)}"
