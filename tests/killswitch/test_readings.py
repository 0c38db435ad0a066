import pytest
from orchestrator.killswitch.readings import Condition, Reading, away, found, hidden


def test_what_was_found_is_kept_as_bytes() -> None:
    assert found("é", b"b", xmin="7") == Reading(
        Condition.FOUND, ("é".encode(), b"b"), xmin="7", resolved=True
    )


@pytest.mark.parametrize(
    ("reading", "answers"),
    [(Reading(), True), (found(), True), (away("x"), False), (hidden("x"), False)],
)
def test_a_copy_that_is_away_or_hidden_does_not_answer(reading: Reading, answers: bool) -> None:
    assert reading.answers is answers


def test_why_it_does_not_answer_is_kept() -> None:
    assert (away("refused").why, hidden("policy p").why) == ("refused", "policy p")
