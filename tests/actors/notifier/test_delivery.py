import json
from pathlib import Path

import pytest
from orchestrator.actors.notifier.delivery import NotDelivered, deliver, signature
from orchestrator.actors.notifier.notifications import Notification
from orchestrator.actors.notifier.settings import NotifySettings, signing_key

from .receiver import SECRET, receiving

NOTE = Notification("event-1", "risk.killswitch", "STOP", "2026-01-31T09:30:00.000Z")
ABOUT = {"instance": "desk", "env": "live"}


def hook(url: str, **more: object) -> NotifySettings:
    return NotifySettings.model_validate({"url": url, "secret": SECRET, **more})


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The vector of the standard's own libraries.
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'

    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)

    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_gets_what_happened_and_can_tell_who_sent_it() -> None:
    with receiving() as receiver:
        deliver(NOTE, hook(receiver.url), ABOUT)

    assert receiver.forged == 0
    assert receiver.ids == ["event-1"]
    assert receiver.got[0] == {
        "id": "event-1",
        "type": "risk.killswitch",
        "text": "STOP",
        "ts": "2026-01-31T09:30:00.000Z",
        "data": {},
        "event_id": None,
        "suppressed": 0,
        **ABOUT,
    }


@pytest.mark.parametrize(
    ("status", "lasting"), [(500, False), (503, False), (429, False), (404, True), (401, True)]
)
def test_a_refusal_is_said_with_whether_it_will_last(status: int, lasting: bool) -> None:
    with receiving() as receiver:
        receiver.answers = [status]
        with pytest.raises(NotDelivered, match=str(status)) as caught:
            deliver(NOTE, hook(receiver.url), ABOUT)

    assert caught.value.lasting is lasting


def test_a_receiver_that_hangs_ends_the_attempt_at_its_limit() -> None:
    with receiving() as receiver:
        receiver.hangs.set()
        with pytest.raises(NotDelivered, match=r"no answer|timed out"):
            deliver(NOTE, hook(receiver.url, timeout_s=0.3), ABOUT)


def test_a_receiver_that_is_not_there_is_said_without_its_address() -> None:
    with pytest.raises(NotDelivered) as caught:
        deliver(NOTE, hook("http://127.0.0.1:1/secret-path"), ABOUT)

    assert "secret-path" not in str(caught.value)
    assert not caught.value.lasting


def test_a_command_gets_it_as_json_on_stdin(tmp_path: Path) -> None:
    out = tmp_path / "out"
    settings = NotifySettings(command=("sh", "-c", f"cat > {out}"))

    deliver(NOTE, settings, ABOUT)

    assert json.loads(out.read_text())["text"] == "STOP"


def test_a_command_that_fails_or_hangs_is_said() -> None:
    with pytest.raises(NotDelivered, match="ended with 3"):
        deliver(NOTE, NotifySettings(command=("sh", "-c", "exit 3")), ABOUT)
    with pytest.raises(NotDelivered, match="No such file"):
        deliver(NOTE, NotifySettings(command=("/no/such/program",)), ABOUT)
    with pytest.raises(NotDelivered, match="no answer"):
        deliver(NOTE, NotifySettings(command=("sleep", "600"), timeout_s=0.2), ABOUT)
