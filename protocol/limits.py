"""Limits of the contract that daemon and clients share."""

from typing import Final

MAX_PAGE_EVENTS: Final = 200
"""Events in one page of ``GET /bus/events``."""
