import gevent
import pytest
from gevent.event import Event
from orchestrator.runtime import belongings as module
from orchestrator.runtime.belongings import Belongings
from orchestrator.runtime.linked import Linked
from orchestrator.runtime.mailbox import Mailbox


class Noted:
    def __init__(self) -> None:
        self.failures: list[tuple[str, Exception]] = []
        self.told = Event()

    def __call__(self, greenlet: Linked, error: Exception) -> None:
        self.failures.append((greenlet.name, error))
        self.told.set()


def test_a_linked_greenlet_that_ends_well_is_forgotten() -> None:
    noted = Noted()
    belongings = Belongings(noted)

    belongings.spawn("a-job", len, ([],)).join(timeout=1)
    gevent.idle()

    assert belongings.linked == set()
    assert noted.failures == []


def test_the_failure_of_a_linked_greenlet_is_told_with_its_name() -> None:
    noted = Noted()

    Belongings(noted).spawn("a-job", int, ("no number",))

    assert noted.told.wait(timeout=1)
    [(name, _)] = noted.failures
    assert name == "a-job"


def test_killing_leaves_nobody() -> None:
    belongings = Belongings(Noted())
    greenlet = belongings.spawn("sleeper", gevent.sleep, (60,))
    gevent.idle()

    assert belongings.kill_linked() == []

    assert greenlet.dead


def test_whoever_does_not_end_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINKED_KILL_S", 0.02)
    belongings = Belongings(Noted())
    let_go = Event()

    def stubborn() -> None:
        try:
            gevent.sleep(60)
        finally:
            let_go.wait(timeout=5)

    greenlet = belongings.spawn("stubborn", stubborn, ())
    gevent.idle()

    assert belongings.kill_linked() == ["stubborn"]
    let_go.set()
    greenlet.join(timeout=1)


def test_timers_end_with_it_and_later_ones_never_begin() -> None:
    belongings, mailbox = Belongings(Noted()), Mailbox(10)

    early = belongings.add_timer(mailbox, 60, lambda: None, repeat=True)
    assert not early.cancelled
    belongings.end_timers()
    late = belongings.add_timer(mailbox, 0, lambda: None, repeat=False)

    assert early.cancelled
    assert late.cancelled
