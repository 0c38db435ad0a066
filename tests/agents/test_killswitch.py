import pytest
from orchestrator.agents.killswitch import KillswitchState, after_reconnect, read_message


def test_a_stop_engages_and_comes_with_its_fields() -> None:
    assert read_message(b'{"enabled": true, "reason": "x"}') == (
        True,
        {"enabled": True, "reason": "x"},
    )


def test_only_an_exact_false_releases() -> None:
    assert read_message(b'{"enabled": false}') == (False, {"enabled": False})


@pytest.mark.parametrize(
    "data",
    [b"", b"stop!", b"[]", b"null", b"{}", b'{"enabled": 0}', b'{"enabled": "false"}', b"\xff"],
)
def test_anything_else_engages(data: bytes) -> None:
    assert read_message(data)[0] is True


def test_what_is_no_object_is_handed_on_as_text() -> None:
    assert read_message(b"stop \xff" + b"x" * 5000)[1]["raw"].startswith("stop \ufffdxxx")
    assert len(read_message(b"x" * 5000)[1]["raw"]) == 4096


def test_deep_nesting_engages() -> None:
    assert read_message(b"[" * 100_000)[0] is True


@pytest.mark.parametrize(
    ("before", "after"),
    [("engaged", "engaged"), ("released", "unknown"), ("unknown", "unknown")],
)
def test_after_a_reconnect_only_a_stop_is_still_known(before: str, after: str) -> None:
    assert after_reconnect(KillswitchState(before)) == after
