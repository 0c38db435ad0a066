"""Runs an agent's jobs in threads, and ends them at a signal.

In a process that gevent has patched these threads are greenlets; nothing here
needs to know.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

POLL_S = 0.1
"""How soon a signal is seen. The handler only sets a flag: setting a
`threading.Event` there could wait for a lock that the interrupted thread holds."""
STOP_LIMIT_S = 1.7
"""How long a stop waits for the jobs, together."""


def run_in_threads(
    jobs: Mapping[str, Callable[[], None]],
    *,
    name: str,
    stop: Callable[[], None],
    stopping: threading.Event,
) -> None:
    """Run the jobs until ``stopping`` is set; call ``stop`` at SIGTERM, SIGINT or a failure.

    Blocks. Signals are looked for in the main thread only.

    Raises:
        BaseException: the first that a job raised.
    """
    failures: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)
        finally:
            stop()

    threads = [
        threading.Thread(  # noqa: TID251 - the kit runs without the runtime
            target=guarded, args=(job,), name=f"{name}-{job_name}", daemon=True
        )
        for job_name, job in jobs.items()
    ]
    with _signals() as caught:
        for thread in threads:
            thread.start()
        while not stopping.wait(POLL_S):
            if caught:
                stop()
        _join(threads)
    if failures:
        raise failures[0]


def _join(threads: list[threading.Thread]) -> None:  # noqa: TID251 - as above
    deadline = time.monotonic() + STOP_LIMIT_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that have come, while the block runs."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def catch(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    before = {number: signal.signal(number, catch) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
