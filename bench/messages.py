"""`tell` and `ask` of our actors against pykka's threads, each in a process of its own."""

import statistics
import subprocess
import sys

from .report import Row, progress

ROUNDS = 5

OURS = """
from gevent import monkey; monkey.patch_all()
import time
from orchestrator.runtime import Actor, Address, Mailbox, start_actor, stop_actor
class Echo(Actor):
    def on_receive(self, message):
        return message
actor = Echo()
address = start_actor(actor, Address("echo", Mailbox(1_000_000)))
def tells(n):
    begin = time.perf_counter()
    for number in range(n):
        address.tell(number)
    address.ask(0, timeout_s=60)
    return n / (time.perf_counter() - begin)
def asks(n):
    begin = time.perf_counter()
    for number in range(n):
        address.ask(number, timeout_s=60)
    return n / (time.perf_counter() - begin)
tells(10_000), asks(1_000)
print(tells(200_000), asks(30_000))
stop_actor(actor)
"""

PYKKA = """
import time, pykka
class Echo(pykka.ThreadingActor):
    def on_receive(self, message):
        return message
ref = Echo.start()
def tells(n):
    begin = time.perf_counter()
    for number in range(n):
        ref.tell(number)
    ref.ask(0, timeout=60)
    return n / (time.perf_counter() - begin)
def asks(n):
    begin = time.perf_counter()
    for number in range(n):
        ref.ask(number, timeout=60)
    return n / (time.perf_counter() - begin)
tells(10_000), asks(1_000)
print(tells(100_000), asks(10_000))
ref.stop()
"""


def _rates(program: str) -> tuple[float, float]:
    finished = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    )
    tell, ask = finished.stdout.split()
    return float(tell), float(ask)


def run() -> list[Row]:
    """Rounds in turn, so that a machine that slows down slows both."""
    pairs = []
    for number in range(ROUNDS):
        progress(f"tell and ask, round {number + 1} of {ROUNDS}")
        pairs.append((_rates(OURS), _rates(PYKKA)))
    tell = statistics.median(ours[0] / theirs[0] for ours, theirs in pairs)
    ask = statistics.median(ours[1] / theirs[1] for ours, theirs in pairs)
    ours, theirs = pairs[-1]
    return [
        Row(
            "tell / pykka's threads",
            tell,
            "x",
            3.0,
            detail=f"{ours[0]:,.0f}/s : {theirs[0]:,.0f}/s",
        ),
        Row(
            "ask / pykka's threads", ask, "x", 6.0, detail=f"{ours[1]:,.0f}/s : {theirs[1]:,.0f}/s"
        ),
    ]
