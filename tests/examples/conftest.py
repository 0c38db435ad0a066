"""The examples, loaded as their users run them: from their own folder, by ``module:Class``."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from orchestrator.agents import Agent
from orchestrator.agents.runner import load_agent
from orchestrator.agents.testing import Bench

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def load(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], type[Agent]]]:
    """Loads a class of the example that lies where the test does."""
    before = set(sys.modules)
    folder = request.path.parent.relative_to(Path(__file__).parent)
    monkeypatch.syspath_prepend(str(EXAMPLES / folder))
    yield load_agent
    for name in set(sys.modules) - before:
        if str(EXAMPLES) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
