"""WebSocket clients that break the rules all the time, while others work with the daemon."""

import re
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from .rig import Meter, Outcome, Rig, compare, compare_onlookers, percentile, rig, wait_until

PROGRAM = Path(__file__).parents[1] / "edge" / "attackers.py"
RATE = 300
CODES = {"1002", "1007", "1008", "1009"}


def rule_breakers(*, seed: int, duration_s: float, programs: int = 1) -> Outcome:  # noqa: ARG001 all attacks are made, in turn
    """Eight clients a program, ten attacks a second each: nobody else notices."""
    outcome = Outcome(f"WebSocket rules broken for {duration_s:g} s")
    with rig() as of, ExitStack() as stack:
        of.daemon.start()
        wait_until(of.drained)
        of.look_on("poll", "follow", "probe")
        of.publish(int(RATE * duration_s), RATE)
        before_mb = of.memory_mb()
        memory = Meter(of.memory_mb)
        for _ in range(programs):
            stack.callback(_end, _begin(of))
        time.sleep(duration_s)
        of.wait_published()
        wait_until(of.drained, 60)
        closed = _closed(of)
        outcome.faults = sum(closed.values())
        outcome.expect("codes missing", len(CODES - set(closed)), 0)
        outcome.expect("memory + MB", max(memory.stop()) - before_mb, 100)
        compare(outcome, of, published=of.published)
        seen = compare_onlookers(outcome, of)
        outcome.expect("REST p99 ms", percentile(seen["probe"]["times_ms"], 0.99), 50)
    return outcome


def _begin(of: Rig) -> "subprocess.Popen[str]":
    parts = urlsplit(of.url)
    command = [sys.executable, str(PROGRAM), str(parts.hostname), str(parts.port)]
    attacker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert attacker.stdout is not None
    assert attacker.stdout.readline() == "ready\n"
    return attacker


def _end(attacker: "subprocess.Popen[str]") -> None:
    attacker.kill()
    attacker.communicate()


def _closed(of: Rig) -> dict[str, int]:
    """Connections that ended with a code of these, by the daemon's own count."""
    with urllib.request.urlopen(f"{of.url}/metrics", timeout=10) as response:
        text = response.read().decode()
    found = re.findall(r'ws_closed_total\{code="(\d+)"\} ([\d.]+)', text)
    return {code: int(float(count)) for code, count in found if code in CODES}
