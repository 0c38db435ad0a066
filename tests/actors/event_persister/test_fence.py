import gevent
import pytest
from gevent.event import Event as Signal
from orchestrator.actors.event_persister.fence import WAIT_S, Fence

STALE_S = 30.0


class Bench:
    def __init__(self) -> None:
        self.now = 100.0
        self.fence = Fence(lambda: self.now)
        self.fence.prove(self.now, STALE_S)

    def pass_s(self, seconds: float) -> None:
        """Time in which the daemon runs."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.25
            self.fence.look()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_ours_while_we_run_however_silent_postgresql_is(bench: Bench) -> None:
    bench.pass_s(10 * STALE_S)

    assert bench.fence.is_ours(away=False)


def test_after_a_pause_it_has_to_be_proved(bench: Bench) -> None:
    bench.now += STALE_S / 2 + 0.1
    assert not bench.fence.is_ours(away=False)

    bench.fence.prove(bench.now - 0.1, STALE_S)  # asked before
    assert not bench.fence.is_ours(away=False)
    bench.fence.prove(bench.now, STALE_S)

    assert bench.fence.is_ours(away=False)


def test_on_another_server_it_has_to_be_proved_there(bench: Bench) -> None:
    bench.fence.doubt()
    assert not bench.fence.is_ours(away=False)

    bench.fence.prove(bench.now - 0.1, STALE_S)  # asked the server before
    assert not bench.fence.is_ours(away=False)
    bench.fence.prove(bench.now, STALE_S)

    assert bench.fence.is_ours(away=False)


def test_a_short_pause_is_none(bench: Bench) -> None:
    bench.now += STALE_S / 2

    assert bench.fence.is_ours(away=False)


def test_a_doubt_holds_nothing_back_while_nobody_can_be_asked_or_for_long(bench: Bench) -> None:
    bench.now += STALE_S
    bench.fence.look()

    assert bench.fence.is_ours(away=True)
    bench.pass_s(WAIT_S - 0.25)
    assert not bench.fence.is_ours(away=False)
    bench.pass_s(0.25)
    assert bench.fence.is_ours(away=False)


def test_what_another_daemon_has_had_is_ours_only_once_it_is_proved(bench: Bench) -> None:
    bench.fence.lose()
    bench.pass_s(2 * WAIT_S)
    assert not bench.fence.is_ours(away=True)

    bench.fence.prove(bench.now, STALE_S)

    assert bench.fence.is_ours(away=False)


def test_nothing_is_waited_for_where_it_is_ours(bench: Bench) -> None:
    assert bench.fence.wait(Signal(), lambda: False)


def test_a_batch_waits_for_the_proof(bench: Bench) -> None:
    changed = Signal()
    bench.now += STALE_S
    waiting = gevent.spawn(bench.fence.wait, changed, lambda: False)
    gevent.sleep(0)
    changed.set()
    gevent.sleep(0.01)
    assert not waiting.ready()

    bench.fence.prove(bench.now, STALE_S)
    changed.set()

    assert waiting.get(timeout=10) is True


def test_a_batch_of_a_daemon_that_must_stop_waits_for_nothing(bench: Bench) -> None:
    bench.fence.give_up()

    assert bench.fence.wait(Signal(), lambda: True) is False


@pytest.mark.parametrize("lost", [False, True])
def test_a_doubt_that_is_renewed_only_holds_back_but_a_loss_hides(
    bench: Bench, *, lost: bool
) -> None:
    changed = Signal()
    bench.fence.doubt()
    waiting = gevent.spawn(bench.fence.wait, changed, lambda: False)
    gevent.sleep(0)
    bench.now += WAIT_S - 0.1
    bench.fence.doubt()
    if lost:
        bench.fence.lose()
    bench.now += 0.2
    changed.set()

    assert waiting.get(timeout=10) is not lost
