"""The lifecycle of an actor: every end is noticed, whatever was raised and where."""

from collections.abc import Callable
from typing import Any

import gevent
import pykka
import pytest
from orchestrator.runtime import (
    Actor,
    ActorFailed,
    ActorUnavailable,
    Address,
    AskTimeout,
    DeferredReply,
    ExitKind,
    Mailbox,
    Refusal,
    StartFailed,
    start_actor,
    stop_actor,
)


class Recorder(Actor):
    """Notes its hooks; a message that is callable is called with the actor."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks: list[str] = []
        self.seen: list[Any] = []

    def on_start(self) -> None:
        self.hooks.append("start")

    def on_receive(self, message: Any) -> Any:
        if callable(message):
            return message(self)
        self.seen.append(message)
        return message

    def on_stop(self) -> None:
        self.hooks.append("stop")

    def on_failure(self, *_exc_info: object) -> None:
        self.hooks.append("failure")


class Unstartable(Recorder):
    def on_start(self) -> None:
        raise OSError("no such thing")


class Unstoppable(Recorder):
    def on_stop(self) -> None:
        raise OSError("will not")


class Draining(Recorder):
    drain_on_stop = True


def raiser(error: BaseException) -> Callable[[Actor], Any]:
    def raise_it(_actor: Actor) -> Any:
        raise error

    return raise_it


LEAKS = [
    ValueError("boom"),
    gevent.Timeout(0.5),
    gevent.GreenletExit("gone"),
    SystemExit(3),
    KeyboardInterrupt(),
]


def test_a_message_is_handled_and_answered() -> None:
    actor = Recorder()
    address = start_actor(actor)

    assert address.ask("hello", timeout_s=1) == "hello"
    assert address.processed == 1
    stop_actor(actor)
    assert actor.hooks == ["start", "stop"]


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: type(leak).__name__)
def test_whatever_a_told_handler_raises_ends_this_actor_alone(leak: BaseException) -> None:
    bystander, actor = Recorder(), Recorder()
    other, address = start_actor(bystander, Address("other")), start_actor(actor)

    address.tell(raiser(leak))

    assert actor.join(1)
    assert actor.exit_kind is ExitKind.FAILURE
    assert actor.hooks == ["start", "failure"]
    assert address.dead_letters.total == 1
    assert other.ask("still there?", timeout_s=1)
    stop_actor(bystander)


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: type(leak).__name__)
def test_whatever_an_asked_handler_raises_reaches_the_asker_and_ends_the_actor(
    leak: BaseException,
) -> None:
    actor = Recorder()
    address = start_actor(actor)

    with pytest.raises(ActorFailed):
        address.ask(raiser(leak), timeout_s=1)

    assert actor.join(1)
    assert actor.exit_kind is ExitKind.FAILURE


def test_a_refusal_reaches_the_asker_and_the_actor_lives_on() -> None:
    actor = Recorder()
    address = start_actor(actor)

    with pytest.raises(Refusal, match="not today"):
        address.ask(raiser(Refusal("not today")), timeout_s=1)

    assert address.ask("and now?", timeout_s=1)
    stop_actor(actor)


def test_a_refused_tell_is_a_failure() -> None:
    actor = Recorder()
    address = start_actor(actor)

    address.tell(raiser(Refusal("nobody hears this")))

    assert actor.join(1)
    assert actor.exit_kind is ExitKind.FAILURE


def test_an_actor_that_cannot_start_says_why() -> None:
    with pytest.raises(StartFailed, match="OSError: no such thing"):
        start_actor(Unstartable())


def test_an_actor_that_fails_to_stop_has_failed() -> None:
    actor = Unstoppable()
    start_actor(actor)

    stop_actor(actor)

    assert actor.exit_kind is ExitKind.FAILURE


def test_an_actor_may_be_stopped_twice() -> None:
    actor = Recorder()
    start_actor(actor)

    actor.stop()
    stop_actor(actor)

    assert actor.hooks == ["start", "stop"]


def test_an_actor_stopped_while_busy_finishes_its_message_first() -> None:
    actor = Recorder()
    address = start_actor(actor)
    started = gevent.event.Event()

    def work(recorder: Recorder) -> None:
        started.set()
        gevent.sleep(0.02)
        recorder.seen.append("done")

    address.tell(work)
    started.wait(1)
    stop_actor(actor)

    assert actor.seen == ["done"]


def test_a_killed_greenlet_is_a_failure_like_any_other() -> None:
    actor = Recorder()
    start_actor(actor)

    actor._greenlet.kill()

    assert actor.exit_kind is ExitKind.FAILURE
    assert actor.hooks == ["start", "failure"]


def test_a_greenlet_killed_before_it_ran_is_noticed_too() -> None:
    ends: list[Actor] = []
    actor = Recorder()
    actor.start_at(Address("early"), ends.append)

    actor._greenlet.kill()
    gevent.sleep(0.01)

    assert (ends, actor.exit_kind) == ([actor], ExitKind.FAILURE)


def test_a_linked_greenlet_takes_its_actor_along() -> None:
    actor = Recorder()
    address = start_actor(actor)

    address.tell(lambda recorder: recorder.spawn(raiser(ValueError("boom")), None, name="job"))

    assert actor.join(1)
    assert "Recorder-job failed: ValueError: boom" in str(actor.exit_error)


def test_linked_greenlets_end_with_their_actor() -> None:
    actor = Recorder()
    address = start_actor(actor)
    greenlet = address.ask(lambda r: r.spawn(gevent.sleep, 60, name="job"), timeout_s=1)

    stop_actor(actor)

    assert greenlet.dead


def test_waiting_messages_are_found_by_the_successor() -> None:
    address = Address("a", Mailbox(10))
    first, second = Recorder(), Recorder()
    start_actor(first, address)
    address.tell(raiser(ValueError("boom")))
    for number in range(5):
        address.tell(number)
    first.join(1)

    start_actor(second, address)
    address.ask("last", timeout_s=1)

    assert second.seen == [0, 1, 2, 3, 4, "last"]
    stop_actor(second)


def test_an_ask_to_an_actor_that_never_answers_times_out() -> None:
    actor = Recorder()
    address = start_actor(actor)

    with pytest.raises(AskTimeout):
        address.ask(lambda _: gevent.sleep(0.1), timeout_s=0.01)

    stop_actor(actor)


def test_a_deferred_reply_is_answered_later() -> None:
    actor = Recorder()
    address = start_actor(actor)

    def later(recorder: Recorder) -> None:
        reply = recorder.defer_reply()
        recorder.after(0.001, lambda: reply.set("later"))

    assert address.ask(later, timeout_s=1) == "later"
    stop_actor(actor)


def test_a_deferred_reply_that_never_comes_fails_with_its_actor() -> None:
    actor = Recorder()
    address = start_actor(actor)
    replies: list[DeferredReply] = []

    def never(recorder: Recorder) -> None:
        replies.append(recorder.defer_reply())
        recorder.after(0.01, lambda: 1 / 0)

    with pytest.raises(ActorFailed, match="ZeroDivisionError"):
        address.ask(never, timeout_s=1)


def test_a_timer_calls_again_and_again_until_it_is_cancelled() -> None:
    actor = Recorder()
    address = start_actor(actor)
    done = gevent.event.Event()

    def tick() -> None:
        actor.seen.append("tick")
        if len(actor.seen) == 3:
            timer.cancel()
            done.set()

    timer = address.ask(lambda recorder: recorder.every(0.001, tick), timeout_s=1)

    assert done.wait(1)
    gevent.sleep(0.01)
    assert actor.seen == ["tick"] * 3
    stop_actor(actor)


def test_a_timer_that_raises_fails_its_actor() -> None:
    actor = Recorder()
    address = start_actor(actor)

    address.ask(lambda recorder: recorder.after(0.001, lambda: 1 / 0), timeout_s=1)

    assert actor.join(1)
    assert actor.exit_kind is ExitKind.FAILURE


def test_messages_taken_along_are_dead_letters_when_the_handler_fails() -> None:
    actor = Recorder()
    address = start_actor(actor)

    def take_then_fail(recorder: Recorder) -> None:
        assert recorder.take_waiting(int, 10) == [1, 2]
        raise ValueError("boom")

    address.tell(take_then_fail)
    address.tell(1)
    address.tell(2)

    assert actor.join(1)
    assert [letter.message for letter in address.dead_letters.snapshot()][1:] == ["1", "2"]


def test_a_draining_actor_handles_what_waits_before_it_stops() -> None:
    actor = Draining()
    address = start_actor(actor)
    for number in range(100):
        address.tell(number)

    stop_actor(actor)

    assert actor.seen == list(range(100))


def test_a_busy_actor_lets_others_run() -> None:
    busy, idle = Recorder(), Recorder()
    crowded, quiet = start_actor(busy, Address("b", Mailbox(200_000))), start_actor(idle)
    for number in range(100_000):
        crowded.tell(number)

    quiet.ask("may I?", timeout_s=1)

    assert len(busy.seen) < 100_000
    stop_actor(idle)
    stop_actor(busy)


def test_a_closed_address_makes_dead_letters_and_tells_askers() -> None:
    actor = Recorder()
    address = start_actor(actor)
    stop_actor(actor)

    address.tell("too late")

    assert address.dead_letters.snapshot()[-1].message == "'too late'"
    with pytest.raises(ActorUnavailable, match="has stopped"):
        address.ask("hello?", timeout_s=1)


def test_nobody_is_left_in_the_registry() -> None:
    assert not pykka.ActorRegistry.get_all()
