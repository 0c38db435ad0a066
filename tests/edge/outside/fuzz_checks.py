"""Loaded by schemathesis itself (`SCHEMATHESIS_HOOKS`): the daemon's own rule for 5xx."""

from typing import Any

import schemathesis


@schemathesis.check
def no_fault_of_the_daemon(_ctx: Any, response: Any, _case: Any) -> None:
    """The documented 503 is an answer; any other 5xx is a bug."""
    code = response.status_code
    if code >= 500 and code != 503:
        raise AssertionError(f"{code}: {response.text[:300]}")
