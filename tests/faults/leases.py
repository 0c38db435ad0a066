"""The permit's end, whatever dies: agents with gates that act all the time, and who acts too late.

One Python agent that the daemon manages, one that it does not, and one in JavaScript.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from .proxy import Proxy
from .rig import Outcome, Rig, rig, wait_until
from .supervised import guard_of
from .traders import PYTHON_PATH, Acts, External, QuietLog, managed_agent

LIMIT_S = 3.5
"""The permit's 3 s and a half (contract, part 1)."""
AFTER_S = 1.5
"""So much longer they are looked at."""
ACTS_S = 180.0
"""A daemon may take so long to start, and its agents, on a machine with much to do."""
LONGEST_S = 20.0
"""On a machine so busy that quiet seconds hardly pass."""


class Desk:
    """A daemon, and agents that act; Redis is reached through a proxy by all of them."""

    def __init__(self, of: Rig, proxy: Proxy) -> None:
        self.of, self.proxy = of, proxy
        parts = urlsplit(of.redis_url)
        place = f"127.0.0.1:{proxy.port}"
        own = parts._replace(netloc=f"{parts.username}:{parts.password}@{place}").geturl()
        more = managed_agent("managed", of.folder / "managed")
        settings = of.settings(of.pg_url, more).replace(of.redis_url, own)
        of.daemon.settings.write_text(settings)
        of.daemon.start(**PYTHON_PATH)
        public = parts._replace(netloc=place).geturl()
        self.external = [
            External("external", of.folder / "external", public),
            External("node", of.folder / "node", public, node=True),
        ]
        self.agents: list[Acts] = [Acts(of.folder / "managed"), *self.external]

    @property
    def pid(self) -> int:
        """The daemon's."""
        assert self.of.daemon.process is not None
        return self.of.daemon.process.pid

    def await_acts(self) -> None:
        """Until all act."""
        for agent in self.agents:
            wait_until(agent.goes_on, ACTS_S, f"{agent.file.name} acts")

    def close(self) -> None:
        """End the agents."""
        for agent in self.external:
            agent.end()


Fault = Callable[[Desk], None]


def _freeze_redis(desk: Desk) -> None:
    desk.of.signal(desk.of.valkey, signal.SIGSTOP)


def _thaw_redis(desk: Desk) -> None:
    desk.of.signal(desk.of.valkey, signal.SIGCONT)


def _cut(desk: Desk) -> None:
    desk.proxy.refuse()


def _join(desk: Desk) -> None:
    desk.proxy.accept()


def _stop(desk: Desk) -> None:
    desk.of.daemon.stop()


def _kill(desk: Desk) -> None:
    desk.of.daemon.kill()


def _freeze(desk: Desk) -> None:
    os.kill(desk.pid, signal.SIGSTOP)


def _thaw(desk: Desk) -> None:
    os.kill(desk.pid, signal.SIGCONT)


def _power_cut(desk: Desk) -> None:
    """Daemon and guard at once, so that neither sees the other one's end."""
    guard = guard_of(desk.pid)
    os.kill(desk.pid, signal.SIGSTOP)
    guard.kill()
    desk.of.daemon.kill()


def _start(desk: Desk) -> None:
    desk.of.daemon.launch(**PYTHON_PATH)


FAULTS: dict[str, tuple[Fault, Fault]] = {
    "Redis frozen": (_freeze_redis, _thaw_redis),
    "Redis cut off": (_cut, _join),
    "daemon stopped": (_stop, _start),
    "daemon killed": (_kill, _start),
    "daemon frozen": (_freeze, _thaw),
    "power cut": (_power_cut, _start),
}
"""How each begins, and what ends it."""


def lapsed(*, seed: int, rounds: int, again: bool = False) -> Outcome:
    """Lost are acts later than `LIMIT_S` after a fault, and before it ended.

    Args:
        seed: of the order of faults and of random moments.
        rounds: how often each fault comes.
        again: each comes again at a random moment of the recovery.
    """
    outcome = Outcome(f"permits that lapse{', twice' if again else ''}", runs=rounds)
    chance = random.Random(seed)
    with rig() as of, Proxy(urlsplit(of.redis_url).port or 6379) as proxy, QuietLog() as quiet:
        desk = Desk(of, proxy)
        try:
            for name in chance.sample(list(FAULTS) * rounds, len(FAULTS) * rounds):
                desk.await_acts()
                time.sleep(chance.random())
                _lapse(outcome, desk, name, quiet)
                if again:
                    time.sleep(chance.uniform(0, 3))
                    _lapse(outcome, desk, name, quiet)
            desk.await_acts()
            outcome.received = sum(len(agent.times) for agent in desk.agents)
        finally:
            desk.close()
    return outcome


def _is_over(quiet: QuietLog, began: float) -> bool:
    now = time.monotonic()
    return quiet.between(began, now) > LIMIT_S + AFTER_S or now - began > LONGEST_S


def _lapse(outcome: Outcome, desk: Desk, name: str, quiet: QuietLog) -> None:
    begin, end = FAULTS[name]
    began = time.monotonic()
    begin(desk)
    if name == "daemon stopped":  # until its end it may renew permits
        began = time.monotonic()
    outcome.faults += 1
    wait_until(lambda: _is_over(quiet, began), 2 * LONGEST_S, "the limit is past")
    lasted = [quiet.between(began, at) for agent in desk.agents for at in agent.since(began)]
    end(desk)
    outcome.lost += sum(s > LIMIT_S for s in lasted)
    slowest = max(lasted, default=0.0)
    outcome.figures[f"{name} s"] = round(max(slowest, outcome.figures.get(f"{name} s", 0.0)), 2)
