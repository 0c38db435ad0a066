"""Loaded by schemathesis itself (`SCHEMATHESIS_HOOKS`): the daemon's own rule for 5xx."""

from typing import Any
from urllib.parse import urlencode

import schemathesis

FITTING = 7_000
"""Characters of a query. A request line of over 8 KiB is 414 before any route is known."""


@schemathesis.hook
def filter_query(_context: Any, query: Any) -> bool:
    """Only what fits into a request line (tests/edge/test_strict.py has the others)."""
    return query is None or len(urlencode(query, doseq=True)) <= FITTING


@schemathesis.check
def no_fault_of_the_daemon(_ctx: Any, response: Any, _case: Any) -> None:
    """The documented 503 is an answer; any other 5xx is a bug."""
    code = response.status_code
    if code >= 500 and code != 503:
        raise AssertionError(f"{code}: {response.text[:300]}")
