import os
import signal
import threading

import pytest
from orchestrator.agents.threads import run_in_threads
from quiet_clock import quiet_s


class Jobs:
    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.names: list[str] = []

    def wait(self) -> None:
        self.names.append(threading.current_thread().name)
        self.stopping.wait(10)

    def fail(self) -> None:
        raise SystemExit("enough")

    def run(self, **jobs: object) -> None:
        run_in_threads(jobs, name="a-1", stop=self.stopping.set, stopping=self.stopping)  # type: ignore[arg-type]


def test_jobs_run_side_by_side_under_their_names() -> None:
    jobs = Jobs()

    threading.Timer(0.05, jobs.stopping.set).start()
    jobs.run(reader=jobs.wait, heart=jobs.wait)

    assert sorted(jobs.names) == ["a-1-heart", "a-1-reader"]


def test_a_job_that_raises_ends_them_all_and_its_error_is_raised() -> None:
    jobs = Jobs()

    with pytest.raises(SystemExit, match="enough"):
        jobs.run(reader=jobs.wait, handlers=jobs.fail)

    assert jobs.stopping.is_set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_jobs_and_its_old_handler_is_put_back(number: signal.Signals) -> None:
    jobs, before = Jobs(), signal.getsignal(number)

    threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
    jobs.run(reader=jobs.wait)

    assert jobs.stopping.is_set()
    assert signal.getsignal(number) == before


def test_a_job_that_does_not_end_is_left_behind_in_time() -> None:
    jobs, release = Jobs(), threading.Event()
    jobs.stopping.set()
    began = quiet_s()

    jobs.run(handlers=lambda: release.wait(30))

    assert quiet_s() - began < 2.5
    release.set()
