"""Tests of faults run whole daemons, as those in `e2e` do."""

from e2e.conftest import daemon, new_daemon

__all__ = ["daemon", "new_daemon"]
