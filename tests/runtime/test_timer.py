"""Timers: their work is done in the actor, between two messages."""

import gevent
from orchestrator.runtime import Mailbox
from orchestrator.runtime.timer import Timer


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
