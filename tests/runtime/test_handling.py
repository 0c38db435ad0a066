import pytest
from orchestrator.runtime.handling import BUCKETS_S, HandlingTimes


@pytest.mark.parametrize(
    ("seconds", "first_bucket"),
    [(0.003, "0.005"), (0.005, "0.005"), (0.02, "0.02"), (0.3, "0.5"), (7.0, "+Inf")],
)
def test_a_slow_turn_is_sorted_in_by_its_upper_bound(seconds: float, first_bucket: str) -> None:
    times = HandlingTimes()
    times.turns = 1

    times.note_slow(seconds)

    assert next(bound for bound, count in times.buckets() if count == 1) == first_bucket


def test_turns_that_were_not_sorted_in_were_fast() -> None:
    times = HandlingTimes()
    times.turns = 10
    times.note_slow(0.1)

    assert times.buckets()[0] == (str(BUCKETS_S[0]), 9.0)
    assert times.buckets()[-1] == ("+Inf", 10.0)
