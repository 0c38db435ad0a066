"""``pytest --jobs N``: the tests in N processes side by side, told of as if it were one.

Most of the suite's time is waiting. This process collects, hands out the tests a file at a time,
those with the slow ones first, and hears the reports; all that reads reports (progress,
``--last-failed``, ``--durations``, the closing line) works as ever. Each worker is a pytest of its
own, with its own servers, folders and ports. Tests marked ``timing`` run at the end and alone:
others would take the processor from them.

pytest-xdist does not fit: its workers wait for work at an event that a thread sets, which after
gevent's patching waits for a greenlet that nobody will ever wake.

The wire, JSON lines over two pipes: to a worker a list of node ids, an empty one at the end; from
it ``null`` when it wants the next list, otherwise a report.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterable
from typing import IO, Any

import pytest

ALONE = "timing"
SLOW = ("slow", "subprocess", "browser")
END_LIMIT_S = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--jobs``, and by what a worker hears and answers."""
    group = parser.getgroup("side by side")
    group.addoption("--jobs", type=int, default=1, metavar="N", help="run in N processes")
    group.addoption("--worker", metavar="FD,FD", help="be one of them; for internal use")


def pytest_configure(config: pytest.Config) -> None:
    """Take over the loop; a Redis that all would share, and each empties, leaves it as it is."""
    if ends := config.getoption("worker"):
        config.pluginmanager.register(Worker(config, *map(int, ends.split(","))))
    elif config.getoption("jobs") > 1 and "TEST_REDIS_URL" not in os.environ:
        config.pluginmanager.register(Parent(config))


class Worker:
    """The loop of a worker: runs what it is given and reports."""

    def __init__(self, config: pytest.Config, orders: int, reports: int) -> None:
        for end in (orders, reports):
            os.set_inheritable(end, False)
        self._config = config
        self._orders = open(orders)  # noqa: SIM115 open for as long as the process
        self._reports = open(reports, "w")  # noqa: SIM115

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Ask before the last test of a list: what comes next says which fixtures stay."""
        items = {item.nodeid: item for item in session.items}
        waiting = self._next()
        while waiting:
            item = items[waiting.popleft()]
            waiting = waiting or self._next()
            following = items.get(waiting[0]) if waiting else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hand it to the parent."""
        hook = self._config.hook.pytest_report_to_serializable
        self._tell(hook(config=self._config, report=report))

    def _next(self) -> deque[str]:
        self._tell(None)
        return deque(json.loads(self._orders.readline() or "[]"))

    def _tell(self, message: object) -> None:
        self._reports.write(json.dumps(message, default=str) + "\n")
        self._reports.flush()


class Mate:
    """A worker as its parent sees it."""

    def __init__(self, config: pytest.Config) -> None:
        orders, self._orders = os.pipe()
        self.reports, reports = os.pipe()
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 closed by end()
        self.in_hand: deque[str] = deque()
        """What it has not reported yet."""
        self.told_to_end = False
        self._buffer = b""
        overrides = [f"--override-ini={one}" for one in config.option.override_ini or ()]
        quiet = ["-q", "-p", "no:cacheprovider", f"--worker={orders},{reports}"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *quiet, *overrides, *config.args],
            cwd=config.invocation_params.dir,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            pass_fds=(orders, reports),
            process_group=0,  # else Ctrl-C comes twice, and cuts short how its servers stop
        )
        os.close(orders)
        os.close(reports)

    def give(self, nodeids: Iterable[str]) -> None:
        """Hand it work; none is the end."""
        handed = list(nodeids)
        self.in_hand.extend(handed)
        self.told_to_end = not handed
        with contextlib.suppress(BrokenPipeError):  # its end is seen when it is read
            os.write(self._orders, json.dumps(handed).encode() + b"\n")

    def read(self) -> list[Any] | None:
        """What it has said since; ``None`` when it has ended."""
        data = os.read(self.reports, 1 << 20)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines] if data else None

    def interrupt(self) -> None:
        """Ctrl-C: it leaves the test in its hand, and stops its servers."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> str:
        """End it, which takes as long as its servers take; returns what it has printed."""
        os.close(self._orders)
        os.close(self.reports)
        try:
            self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.log.seek(0)
        with self.log:
            return self.log.read().decode(errors="replace")


class Parent:
    """The loop of the process that was called."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._mates: dict[int, Mate] = {}
        self._lists: deque[list[str]] = deque()
        self._places: dict[str, tuple[str, int | None, str]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """All but those that run alone in workers; then those, here."""
        if session.testsfailed or self._config.option.collectonly:
            return None  # pytest's own loop says so
        alone = [item for item in session.items if item.get_closest_marker(ALONE)]
        self._lists.extend(by_file(item for item in session.items if item not in alone))
        self._places = {item.nodeid: item.location for item in session.items}
        try:
            for _ in range(min(self._config.getoption("jobs"), len(self._lists))):
                self._start()
            while self._mates:
                self._hear(session)
        finally:
            for mate in self._mates.values():
                mate.interrupt()
            for mate in self._mates.values():
                mate.end()
        for item, following in zip(alone, [*alone[1:], None], strict=False):
            self._config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            stop_if_told(session)
        return True

    def _start(self) -> None:
        mate = Mate(self._config)
        self._mates[mate.reports] = mate

    def _hear(self, session: pytest.Session) -> None:
        ready, _, _ = select.select(list(self._mates), [], [])
        for end in ready:
            mate = self._mates[end]
            messages = mate.read()
            if messages is None:
                self._ended(mate)
                continue
            for message in messages:
                if message is None:
                    mate.give(self._lists.popleft() if self._lists else ())
                else:
                    self._report(mate, message)
                    stop_if_told(session)

    def _report(self, mate: Mate, message: dict[str, Any]) -> None:
        hook = self._config.hook
        report = hook.pytest_report_from_serializable(config=self._config, data=message)
        if isinstance(report.longrepr, list):  # a skip's place and reason: JSON knows no tuples
            report.longrepr = tuple(report.longrepr)
        place = {"nodeid": report.nodeid, "location": report.location}
        if report.when == "setup":
            hook.pytest_runtest_logstart(**place)
        hook.pytest_runtest_logreport(report=report)
        if report.when == "teardown":
            mate.in_hand.remove(report.nodeid)
            hook.pytest_runtest_logfinish(**place)

    def _ended(self, mate: Mate) -> None:
        """Of one that died the test in its hand has failed, and another takes its place."""
        del self._mates[mate.reports]
        said = mate.end()
        if mate.in_hand:
            nodeid = mate.in_hand.popleft()
            self._config.hook.pytest_runtest_logreport(
                report=pytest.TestReport(
                    nodeid, self._places[nodeid], {}, "failed", f"the worker died:\n{said}", "call"
                )
            )
            if mate.in_hand:
                self._lists.append(list(mate.in_hand))
            self._start()
        elif not mate.told_to_end:
            raise pytest.UsageError(f"a worker ended before its time:\n{said}")


def by_file(items: Iterable[pytest.Item]) -> list[list[str]]:
    """Node ids, a list for each file; those with the most slow tests first."""
    files: dict[object, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)

    def slow(found: list[pytest.Item]) -> int:
        return -sum(any(item.get_closest_marker(mark) for mark in SLOW) for item in found)

    return [[item.nodeid for item in found] for found in sorted(files.values(), key=slow)]


def stop_if_told(session: pytest.Session) -> None:
    """``-x`` and ``--maxfail``."""
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
