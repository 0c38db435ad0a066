from typing import Any

import pytest
from orchestrator.runtime._future import DeferredReply, GreenletFuture


def deferred() -> tuple[DeferredReply, set[DeferredReply]]:
    pending: set[DeferredReply] = set()
    return DeferredReply(GreenletFuture(), pending), pending


def test_it_counts_as_pending_until_it_is_answered() -> None:
    reply, pending = deferred()
    future = reply._future

    assert pending == {reply}
    reply.set("done")

    assert pending == set()
    assert future.get(timeout=1) == "done"


def test_only_the_first_answer_counts() -> None:
    reply, _ = deferred()

    reply.set(1)
    reply.set(2)
    reply.set_exception(ValueError("late"))

    assert reply.future.get(timeout=1) == 1


def test_an_exception_is_raised_in_the_asker() -> None:
    reply, pending = deferred()
    future: Any = reply._future

    reply.set_exception(ValueError("no"))

    assert pending == set()
    with pytest.raises(ValueError, match="no"):
        future.get(timeout=1)


def test_a_future_that_is_passed_on_is_no_longer_ours_to_answer() -> None:
    reply, pending = deferred()

    future = reply.future
    assert pending == set()
    future.set(5)

    assert future.get(timeout=1) == 5
