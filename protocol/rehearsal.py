"""Test mode: ``ORCHESTRATOR_ENV=test``, or ``NODE_ENV=test`` as the Node original has it.

Servers are embedded and the data directory is a temporary folder, whatever else is configured, so
that no test reaches a real desk; all of it is gone at the end.
"""

from collections.abc import Mapping
from pathlib import Path

VARIABLES = ("ORCHESTRATOR_ENV", "NODE_ENV")


FILE_VARIABLES = (
    "REDIS_URL_FILE",
    "PG_URL_FILE",
    "ORCHESTRATOR_REDIS__URL_FILE",
    "ORCHESTRATOR_POSTGRES__URL_FILE",
)
"""What has to go from it: files that name servers."""


def wants_test(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for test mode; the first variable that is set decides."""
    found = next((environ[name] for name in VARIABLES if environ.get(name)), "")
    return found.strip().lower() == "test"


def test_variables(folder: Path) -> dict[str, str]:
    """What the environment has to say beyond its own; these names win over all others."""
    return {
        "ORCHESTRATOR_DATA__DIR": str(folder / "data"),
        "ORCHESTRATOR_REDIS__URL": "embedded",
        "ORCHESTRATOR_POSTGRES__URL": "embedded",
        "ORCHESTRATOR_INSTANCE__ENV": "test",
    }
