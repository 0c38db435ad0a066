"""Timers: their work is done in the actor, between two messages."""

import time

import gevent
from orchestrator.runtime import Mailbox, give_way
from orchestrator.runtime.timer import Timer
from quiet_clock import quiet_s


def run_next(mailbox: Mailbox) -> None:
    mailbox.get().message.run()


def test_a_tick_comes_as_a_message_and_calls_when_it_is_read() -> None:
    calls: list[int] = []
    mailbox = Mailbox()
    timer = Timer(mailbox, 0.001, lambda: calls.append(1), repeat=False)
    gevent.sleep(0.01)
    assert calls == []

    run_next(mailbox)

    assert (calls, timer.cancelled) == ([1], True)


def test_ticks_that_nobody_reads_do_not_pile_up() -> None:
    mailbox = Mailbox()
    timer = Timer(mailbox, 0.001, lambda: None, repeat=True)

    gevent.sleep(0.05)
    timer.cancel()

    assert len(mailbox) == 1


def test_a_tick_that_waits_when_its_timer_is_cancelled_does_nothing() -> None:
    calls: list[int] = []
    mailbox = Mailbox()
    timer = Timer(mailbox, 0.001, lambda: calls.append(1), repeat=True)
    gevent.sleep(0.01)

    timer.cancel()
    timer.cancel()
    run_next(mailbox)

    assert calls == []


def test_busy_greenlets_do_not_hold_up_a_timer() -> None:
    end = time.monotonic() + 0.3

    def busy() -> None:
        while time.monotonic() < end:
            until = time.monotonic() + 0.002
            while time.monotonic() < until:
                pass
            give_way()

    worst = 0.0
    greenlets = [gevent.spawn(busy) for _ in range(2)]
    while time.monotonic() < end:
        due = quiet_s() + 0.005
        gevent.sleep(0.005)
        worst = max(worst, quiet_s() - due)
    gevent.joinall(greenlets)

    assert worst < 0.05


def test_giving_way_when_nobody_waits_costs_no_wait() -> None:
    begin = quiet_s()
    for _ in range(1000):
        give_way()

    assert quiet_s() - begin < 0.3
