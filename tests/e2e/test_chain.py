"""The example chain on a real daemon: quotes, regime, signals, risk check, execution on paper."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import wait_until
from .conftest import DaemonProcess

pytestmark = [pytest.mark.redis, pytest.mark.db, pytest.mark.subprocess]

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "chain"
LINKS = [
    ("data.market.", "quotes-1"),
    ("quant.regime.state", "regime-1"),
    ("strategy.candidate", "signals-1"),
    ("risk.decision", "risk-1"),
    ("strategy.order", "execution-1"),
    ("strategy.fill", "execution-1"),
]


@pytest.fixture
def chain(new_daemon: Callable[..., DaemonProcess]) -> DaemonProcess:
    """The daemon of the example's own settings, on a port of its own."""
    settings = (EXAMPLE / "supervisor.toml").read_text()
    daemon = new_daemon(settings + "\n[http]\nport = 0\nrate_limit_max = 1000000\n")
    for path in EXAMPLE.glob("*.py"):
        shutil.copy(path, daemon.folder)
    daemon.start()
    return daemon


def events(daemon: DaemonProcess, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.get(f"/bus/events?type={kind}&limit=200")["events"]
    return found


def orc(daemon: DaemonProcess, *words: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *words],
        env=os.environ | {"ORCHESTRATOR_URL": daemon.url},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def drawn_whole(daemon: DaemonProcess) -> dict[str, Any] | None:
    """A chain of which every link has been stored."""
    for fill in events(daemon, "strategy.fill"):
        found = json.loads(orc(daemon, "event", "why", str(fill["id"]), "-o", "json"))
        if len({item["source"] for item in found["items"]}) == 5:
            return {"fill": fill, "items": found["items"]}
    return None


def test_a_fill_is_led_back_to_the_quote_that_began_it(chain: DaemonProcess) -> None:
    found: list[dict[str, Any]] = []

    def look() -> bool:
        whole = drawn_whole(chain)
        found.extend([whole] if whole else [])
        return bool(found)

    wait_until(look, limit_s=90, what="a chain from quote to fill")
    fill = found[0]["fill"]
    drawing = orc(chain, "event", "why", str(fill["id"])).splitlines()
    line = next(number for number, text in enumerate(drawing) if text.endswith("<--"))

    way, depth = [drawing[line]], drawing[line].index("─ ")
    for text in reversed(drawing[:line]):
        if text.index("─ ") < depth:
            way.insert(0, text)
            depth = text.index("─ ")
    assert len(way) == len(LINKS)
    for text, (kind, source) in zip(way, LINKS, strict=True):
        assert f"─ {kind}" in text
        assert f"  {source}  " in text
