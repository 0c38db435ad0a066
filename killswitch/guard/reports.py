"""What the guard says: reports to the daemon, and words on the stderr that both share."""

import json
import os
from contextlib import suppress


def report(**fields: object) -> None:
    """Send a line of JSON to the daemon; one that does not read, or is gone, misses it."""
    with suppress(OSError):
        os.write(1, json.dumps(fields).encode() + b"\n")


def say(text: str) -> None:
    """Write a line on stderr."""
    with suppress(OSError):
        os.write(2, f"orchestrator-guard: {text}\n".encode(errors="replace"))
