import gevent
import pytest
from orchestrator.runtime import errors


def test_every_error_says_what_happened() -> None:
    texts = [
        str(errors.ActorFailed("a", "ValueError: x")),
        str(errors.ActorUnavailable("a")),
        str(errors.AskTimeout("a", 1.5)),
        str(errors.MailboxFull("a", 10)),
        str(errors.ActorHung("a", 5.04)),
        str(errors.StartFailed("a", "no")),
        str(errors.IntensityExceeded("root", "a", "no")),
        str(errors.LinkedGreenletFailed("a-x", "no")),
        str(errors.LeakedBaseException(KeyboardInterrupt("x"))),
    ]

    assert texts == [
        "a failed while handling this: ValueError: x",
        "a has stopped",
        "a did not answer within 1.5 s",
        "the mailbox of a is full (10 messages)",
        "a has not answered a ping for 5.0 s",
        "a did not start: no",
        "root gives up: a failed too often, lastly: no",
        "a-x failed: no",
        "KeyboardInterrupt leaked: x",
    ]


def test_a_deadline_raises_its_error_when_the_block_waits_too_long() -> None:
    with pytest.raises(errors.AskTimeout), errors.deadline(0.01, errors.AskTimeout("a", 0.01)):
        gevent.sleep(5)


def test_a_deadline_that_is_met_does_nothing() -> None:
    with errors.deadline(5, errors.AskTimeout("a", 5)):
        gevent.sleep(0)


def test_a_reason_without_text_is_the_class_alone() -> None:
    assert errors.reason_of(ValueError()) == "ValueError"
    assert errors.reason_of(ValueError("x")) == "ValueError: x"
