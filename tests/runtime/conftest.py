"""The runtime's tests: log lines without pictures of stacks, which take longer than a restart."""

from collections.abc import Iterator

import gevent
import pykka
import pytest
import structlog
from quiet_clock import quiet_s


@pytest.fixture(autouse=True)
def plain_log_lines() -> Iterator[None]:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def nobody_left_behind() -> Iterator[None]:
    """Fail a test that leaves an actor running."""
    before = set(pykka.ActorRegistry.get_all())
    yield
    end = quiet_s() + 2
    while left := set(pykka.ActorRegistry.get_all()) - before:
        assert quiet_s() < end, f"left behind: {left}"
        gevent.sleep(0.01)
