"""The fixture ``bench``: ``pytest_plugins = ["orchestrator.agents.pytest_plugin"]``."""

import pytest

from .testing import Bench


@pytest.fixture
def bench() -> Bench:
    """Agents under test, with a permit to act and the clock at 2026-01-01T00:00:00Z."""
    return Bench()
