import pytest
from orchestrator.killswitch.throttle import MAX_KINDS, OTHERS, Throttle
from orchestrator.sql.audit import AuditRow


def attempt(actor: str | None = "bob", address: str = "::1") -> AuditRow:
    return AuditRow("id", "at", "killswitch.release", "refused", actor, address=address)


def test_the_first_of_a_minute_have_rows_of_their_own_the_others_one() -> None:
    throttle = Throttle(alone=2)

    taken = [throttle.take(attempt(), 60.0 + n) for n in range(5)]
    within, after = [*throttle.due(119.9)], [*throttle.due(120.0)]

    assert [one is not None for one in taken] == [True, True, False, False, False]
    assert within == []
    assert [one.count for one in after] == [3]
    assert [*throttle.due(180.0)] == []


def test_without_a_good_token_there_is_one_row_a_minute() -> None:
    throttle = Throttle()

    taken = [throttle.take(attempt(None), 60.0, alone=False) for _ in range(3)]

    assert taken == [None] * 3
    assert [(one.address, one.count) for one in throttle.due(120.0)] == [("::1", 3)]


def test_callers_are_counted_apart() -> None:
    throttle = Throttle(alone=1)

    assert throttle.take(attempt("anna"), 0.0) == attempt("anna")
    assert throttle.take(attempt("bob"), 0.0) == attempt("bob")


def test_what_had_rows_of_its_own_leaves_nothing_behind() -> None:
    throttle = Throttle()
    throttle.take(attempt(), 0.0)

    assert [*throttle.due(60.0)] == []


@pytest.mark.parametrize("now_s", [float("inf"), 0.0])
def test_an_end_and_a_clock_that_was_set_back_end_the_minute(now_s: float) -> None:
    throttle = Throttle(alone=0)
    throttle.take(attempt(), 6000.0)

    assert [one.count for one in throttle.due(now_s)] == [1]


def test_addresses_cannot_fill_the_memory() -> None:
    throttle = Throttle(alone=0)

    for number in range(MAX_KINDS + 50):
        throttle.take(attempt(None, f"10.0.0.{number}"), 0.0)

    found = [*throttle.due(60.0)]
    assert len(found) == MAX_KINDS + 1
    assert [one.count for one in found if one.address == OTHERS] == [50]
