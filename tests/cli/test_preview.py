from orchestrator.cli.preview import MAX_CHARS, preview


def test_the_telling_fields_come_first_without_their_names() -> None:
    payload = {"agent_id": "dev-1", "score": 0.91, "symbol": "AAPL", "strategy": "momentum"}

    assert preview("strategy.candidate", payload) == "AAPL momentum score=0.91"


def test_text_with_blanks_is_quoted() -> None:
    assert preview("x", {"note": "two words"}) == 'note="two words"'


def test_a_stop_says_who_and_why() -> None:
    engaged = {"enabled": True, "reason": "fat finger", "triggered_by": "anna"}

    assert preview("risk.killswitch", engaged) == "HALT by anna: fat finger"


def test_a_release_is_told_from_a_stop() -> None:
    assert preview("risk.killswitch", {"enabled": False}) == "RELEASED: no reason given"


def test_anything_odd_on_the_killswitch_channel_reads_as_a_stop() -> None:
    assert preview("risk.killswitch", "stop!") == "HALT: no reason given"


def test_a_payload_that_is_no_object_is_shown_as_json() -> None:
    assert preview("x", [1, 2]) == "[1, 2]"
    assert preview("x", None) == "null"


def test_it_is_short_and_cannot_move_the_cursor() -> None:
    text = preview("x", {"note": "\x1b[2J" + "a" * 1_000})

    assert len(text) == MAX_CHARS
    assert "\x1b" not in text
