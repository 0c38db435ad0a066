"""How long a restart takes, and what an actor costs that has nothing to do."""

import json
import subprocess
import sys

from .report import Row, progress

RESTARTS = """
from gevent import monkey; monkey.patch_all()
import json, statistics, time
import structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
from orchestrator.runtime import Actor, Address, ChildSpec, Supervisor, start_actor, stop_actor
class Doer(Actor):
    def on_receive(self, message):
        return 1 / message
times = []
# Each with a supervisor of its own: a second failure of the same would back off.
for number in range(500):
    spec = ChildSpec(Address("child"), Doer)
    supervisor = Supervisor([spec])
    start_actor(supervisor)
    begin = time.perf_counter()
    spec.address.tell(0)
    spec.address.ask(1, timeout_s=10)
    times.append((time.perf_counter() - begin) * 1000)
    stop_actor(supervisor)
times.sort()
print(json.dumps({"p50": statistics.median(times), "p99": times[int(len(times) * 0.99)]}))
"""

IDLE = """
from gevent import monkey; monkey.patch_all()
import json, time
import gevent, psutil
import structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
from orchestrator.runtime import Actor, Address, ChildSpec, Supervisor, start_actor, stop_actor
class Idle(Actor):
    def on_receive(self, message):
        return message
COUNT = 10_000
process = psutil.Process()
before = process.memory_info().rss
specs = [ChildSpec(Address(f"idle-{number}"), Idle) for number in range(COUNT)]
supervisor = Supervisor(specs)
begin = time.perf_counter()
start_actor(supervisor, timeout_s=300)
started = time.perf_counter() - begin
gevent.sleep(2)
used = process.cpu_times()
begin = time.perf_counter()
gevent.sleep(10)
now = process.cpu_times()
busy = (now.user + now.system - used.user - used.system) / (time.perf_counter() - begin)
rss = process.memory_info().rss - before
print(json.dumps({"bytes": rss / COUNT, "busy_us_per_s": busy * 1e6 / COUNT, "start_s": started}))
stop_actor(supervisor, timeout_s=120)
"""


def _measured(program: str) -> dict[str, float]:
    finished = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=300
    )
    found: dict[str, float] = json.loads(finished.stdout)
    return found


def run() -> list[Row]:
    """Each in a process of its own."""
    progress("500 restarts")
    restart = _measured(RESTARTS)
    progress("10,000 idle actors, supervised")
    idle = _measured(IDLE)
    return [
        Row("restart, p50", restart["p50"], "ms", 100, at_most=True),
        Row("restart, p99", restart["p99"], "ms", 100, at_most=True),
        Row(
            "memory per idle actor",
            idle["bytes"] / 1000,
            "kB",
            detail=f"10,000 actors, started in {idle['start_s']:.1f} s",
        ),
        Row(
            "CPU per idle actor",
            idle["busy_us_per_s"],
            "µs/s",
            detail="a ping each second and its answer",
        ),
    ]
