"""Linked greenlets, and errors that gevent's hub would print to stderr."""

from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event
from orchestrator.runtime import Actor, log_hub_errors, start_actor, stop_actor
from orchestrator.runtime import linked as module
from orchestrator.runtime.errors import LeakedBaseException, LinkedGreenletFailed
from orchestrator.runtime.linked import LinkedGreenlet, RunResources, running
from orchestrator.runtime.mailbox import Mailbox
from structlog.testing import capture_logs


class Idle(Actor):
    def on_receive(self, message: object) -> object:
        return message


@pytest.fixture
def hub_logs() -> Iterator[None]:
    """The hub of this thread as a daemon has it."""
    hub = gevent.get_hub()
    log_hub_errors()
    yield
    del hub.print_exception


def fail(error: BaseException) -> None:
    raise error


@pytest.mark.usefixtures("hub_logs")
def test_what_no_greenlet_catches_is_logged_and_not_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with capture_logs() as lines:
        gevent.spawn(fail, ValueError("boom")).join(1)
        gevent.sleep(0)

    assert [line["event"] for line in lines] == ["greenlet failed"]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("hub_logs")
def test_a_linked_greenlets_failure_is_told_by_its_actor_alone() -> None:
    actor = Idle()
    start_actor(actor)

    with capture_logs() as lines:
        actor.spawn(fail, ValueError("boom"), name="job")
        assert actor.join(1)

    assert "greenlet failed" not in [line["event"] for line in lines]
    assert "Idle-job failed: ValueError: boom" in str(actor.exit_error)


@pytest.mark.usefixtures("hub_logs")
def test_a_linked_greenlet_that_fails_while_its_actor_ends_is_logged_too() -> None:
    class Slow(Idle):
        def on_stop(self) -> None:
            gevent.sleep(0.05)

    actor = Slow()
    start_actor(actor)
    with capture_logs() as lines:
        actor.spawn(lambda: (gevent.sleep(0.02), fail(ValueError("late"))), name="job")
        stop_actor(actor)

    assert "linked greenlet failed while its actor was ending" in [line["event"] for line in lines]


@pytest.mark.parametrize(
    "leak",
    [SystemExit(3), KeyboardInterrupt(), gevent.Timeout(1)],
    ids=lambda leak: type(leak).__name__,
)
@pytest.mark.usefixtures("hub_logs")
def test_whatever_leaves_a_linked_greenlet_is_an_ordinary_failure(leak: BaseException) -> None:
    linked = LinkedGreenlet(fail, leak)
    linked.start()
    linked.join(1)

    assert isinstance(linked.failure, LeakedBaseException)


def test_a_linked_greenlet_killed_by_a_stranger_is_a_failure() -> None:
    actor = Idle()
    start_actor(actor)
    linked = actor.spawn(gevent.sleep, 60, name="job")
    gevent.sleep(0)

    linked.kill()

    assert actor.join(1)
    assert isinstance(actor.exit_error, LinkedGreenletFailed)
    assert "killed from outside" in str(actor.exit_error)


def test_a_linked_greenlet_may_return_whenever_it_likes() -> None:
    actor = Idle()
    address = start_actor(actor)

    actor.spawn(lambda: 3, name="job").join(1)

    assert address.ask("still there?", timeout_s=1)
    stop_actor(actor)


class Noted:
    def __init__(self) -> None:
        self.failures: list[tuple[str, Exception]] = []
        self.told = Event()

    def __call__(self, greenlet: LinkedGreenlet, error: Exception) -> None:
        self.failures.append((greenlet.name, error))
        self.told.set()


def test_a_linked_greenlet_that_ends_well_is_forgotten() -> None:
    noted = Noted()
    resources = RunResources(noted)

    resources.spawn("a-job", len, ([],)).join(timeout=1)
    gevent.idle()

    assert resources.linked == set()
    assert noted.failures == []


def test_the_failure_of_a_linked_greenlet_is_told_with_its_name() -> None:
    noted = Noted()

    RunResources(noted).spawn("a-job", int, ("no number",))

    assert noted.told.wait(timeout=1)
    [(name, _)] = noted.failures
    assert name == "a-job"


def test_killing_leaves_nobody() -> None:
    resources = RunResources(Noted())
    greenlet = resources.spawn("sleeper", gevent.sleep, (60,))
    gevent.idle()

    assert resources.kill_linked() == []

    assert greenlet.dead


def test_whoever_does_not_end_in_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINKED_KILL_S", 0.02)
    resources = RunResources(Noted())
    let_go = Event()

    def stubborn() -> None:
        try:
            gevent.sleep(60)
        finally:
            let_go.wait(timeout=5)

    greenlet = resources.spawn("stubborn", stubborn, ())
    gevent.idle()

    assert resources.kill_linked() == ["stubborn"]
    let_go.set()
    greenlet.join(timeout=1)


def test_timers_end_with_it_and_later_ones_never_begin() -> None:
    resources, mailbox = RunResources(Noted()), Mailbox(10)

    early = resources.add_timer(mailbox, 60, lambda: None, repeat=True)
    assert not early.cancelled
    resources.end_timers()
    late = resources.add_timer(mailbox, 0, lambda: None, repeat=False)

    assert early.cancelled
    assert late.cancelled


def test_a_greenlet_runs_for_the_duration_of_a_block() -> None:
    began, ended = Event(), Event()

    def work(seconds: float) -> None:
        began.set()
        try:
            gevent.sleep(seconds)
        finally:
            ended.set()

    with running("a-job", work, 60):
        assert began.wait(timeout=1)
        assert not ended.is_set()

    assert ended.is_set()
