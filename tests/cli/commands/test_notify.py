from ...actors.notifier.receiver import SECRET, receiving
from ..conftest import Orc


def settings(url: str) -> dict[str, str]:
    return {"ORCHESTRATOR_NOTIFY__URL": url, "ORCHESTRATOR_NOTIFY__SECRET": SECRET}


def test_a_test_is_delivered(orc: Orc) -> None:
    with receiving() as receiver:
        done = orc("notify", "test", "-o", "json", **settings(receiver.url))

    assert done.code == 0, done.err
    assert [one["type"] for one in receiver.got] == ["notify.test"]


def test_what_the_receiver_answers_is_said(orc: Orc) -> None:
    with receiving() as receiver:
        receiver.answers = [401]
        done = orc("notify", "test", **settings(receiver.url))

    assert done.code == 1
    assert "the receiver answered 401" in done.err


def test_without_a_receiver_it_says_what_to_set(orc: Orc) -> None:
    done = orc("notify", "test")

    assert done.code == 1
    assert "notify.url" in done.err
