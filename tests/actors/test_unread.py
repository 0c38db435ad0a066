from collections.abc import Iterator

import gevent
import pytest
from orchestrator.actors.unread import NotRead, Unread
from orchestrator.runtime import Actor, Address, start_actor, stop_actor


class Library(Actor):
    """Asked with how long to wait; ``read`` and a reason come as text."""

    def on_start(self) -> None:
        self.books = Unread("the books", defer=self.defer_reply, after=self.after)
        self.answers = 0

    def on_receive(self, message: float | str) -> object:
        if message == "read":
            return self.books.read()
        if message == "count":
            return self.answers
        if isinstance(message, str):
            self.books.why = message
            return None
        return self.books.ask(self._answer, wait_s=message)

    def _answer(self) -> str:
        self.answers += 1
        return "all of them"


@pytest.fixture
def library() -> Iterator[Address]:
    address = Address("library")
    actor = Library()
    start_actor(actor, address)
    yield address
    stop_actor(actor)


def test_what_is_read_is_answered_at_once(library: Address) -> None:
    library.tell("read")

    assert library.ask(0, timeout_s=5) == "all of them"


def test_a_question_waits_until_it_is_read(library: Address) -> None:
    asker = gevent.spawn(library.ask, 30.0, timeout_s=30)
    gevent.sleep(0.01)
    assert not asker.ready()

    library.tell("read")

    assert asker.get() == "all of them"


@pytest.mark.parametrize("wait_s", [0.0, 0.01])
def test_what_is_not_read_is_refused_and_not_guessed(library: Address, wait_s: float) -> None:
    library.tell("no connection")

    with pytest.raises(NotRead, match="the books has not been read yet: no connection"):
        library.ask(wait_s, timeout_s=5)


def test_without_a_known_reason_none_is_made_up() -> None:
    assert str(NotRead("the books")) == "the books has not been read yet"


def test_a_question_that_was_refused_is_not_answered_later(library: Address) -> None:
    with pytest.raises(NotRead):
        library.ask(0.01, timeout_s=5)

    library.tell("read")

    assert library.ask(0, timeout_s=5) == "all of them"
    assert library.ask("count", timeout_s=5) == 1
