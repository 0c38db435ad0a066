import asyncio
from collections.abc import Iterator

import pytest
from orchestrator.agents import bench_loop
from orchestrator.agents.bench_loop import BenchLoop
from orchestrator.agents.simulation import BEGIN_S, VirtualClock
from quiet_clock import quiet_s


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(BEGIN_S)


@pytest.fixture
def loop(clock: VirtualClock) -> Iterator[BenchLoop]:
    made = BenchLoop(clock)
    yield made
    made.end()
    made.close()


def test_an_hours_sleep_takes_the_benchs_time_only(loop: BenchLoop, clock: VirtualClock) -> None:
    begun = quiet_s()

    loop.wrap(asyncio.sleep)(3600)

    assert clock.unix_s() == BEGIN_S + 3600
    assert quiet_s() - begun < 10


def test_a_task_runs_when_it_is_due_and_not_before(loop: BenchLoop, clock: VirtualClock) -> None:
    seen: list[float] = []
    tasks = []

    async def task() -> None:
        await asyncio.sleep(5)
        seen.append(clock.unix_s())

    async def start() -> None:
        tasks.append(asyncio.ensure_future(task()))

    loop.wrap(start)()
    loop.turn()
    assert (seen, loop.due_s()) == ([], BEGIN_S + 5)

    clock.set(BEGIN_S + 5)
    loop.turn()
    assert (seen, loop.due_s()) == ([BEGIN_S + 5], float("inf"))


def test_a_handler_that_waits_for_ever_is_told_so(
    loop: BenchLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_loop, "PATIENCE_S", 0.01)

    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="never comes"):
        loop.wrap(never)()


def test_a_loop_within_another_is_put_back(clock: VirtualClock, loop: BenchLoop) -> None:
    inner = BenchLoop(clock)

    async def outer() -> bool:
        inner.wrap(asyncio.sleep)(1)
        return asyncio.get_running_loop() is loop._loop

    assert loop.wrap(outer)()
    inner.close()
