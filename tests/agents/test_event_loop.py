"""The loop's thread, in a process that nothing has patched: there asyncio is itself."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.subprocess

PROGRAM = """
import asyncio, threading, time
from contextvars import ContextVar
from orchestrator.agents.event_loop import ThreadLoop

loop, var, ended, tasks = ThreadLoop(), ContextVar("var"), [], []
thread = threading.Thread(target=loop.run)
thread.start()

async def beside():
    try:
        await asyncio.sleep(3600)
    finally:
        ended.append("task")

async def stubborn():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("refused")

async def handler(word):
    tasks.extend([asyncio.ensure_future(beside()), asyncio.ensure_future(stubborn())])
    own, native = thread.native_id, await loop.offload(threading.get_native_id)
    return word, var.get(), threading.get_native_id() == own, native != own

def plain():
    return threading.get_native_id() == thread.native_id

async def failing():
    raise ValueError("no")

handler.__mark__ = 1
var.set("kept")
call = loop.wrap(handler)
assert (call.__name__, call.__mark__) == ("handler", 1)
assert call("a") == ("a", "kept", True, True), call("a")
assert loop.wrap(plain)()
try:
    loop.wrap(failing)()
except ValueError as error:
    assert str(error) == "no"
else:
    raise AssertionError
loop.end()
thread.join(20)
assert not thread.is_alive()
loop.close()
assert sorted(ended) == ["refused", "task"], ended
"""


def test_everything_runs_in_the_loops_thread_and_ends_with_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr


def test_one_that_never_ran_leaves_nothing_open() -> None:
    program = "from orchestrator.agents import AsyncAgent; AsyncAgent().close()"

    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
