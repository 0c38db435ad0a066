import msgspec
from orchestrator.actors.messages.killswitch import DrillResult
from orchestrator.http.api.last_drill import drill_check, drill_in, drilled_at
from orchestrator.protocol.timestamps import timestamp
from orchestrator.sql.state import StateRow

AT_S = 1_800_000_000.0
DRILL = DrillResult("n", timestamp(AT_S), "anna", 2, 0, "a", 41.5, {"a": 41.5, "b": 3.0}, ())


def kept(value: bytes) -> StateRow:
    return StateRow("killswitch_drill", msgspec.Raw(value), None)


def test_the_last_drill_is_read_from_the_kept_values() -> None:
    other = StateRow("regime_state", msgspec.Raw(b"{}"), None)

    assert drill_in([other, kept(msgspec.json.encode(DRILL))]) == DRILL
    assert drilled_at(DRILL) == AT_S
    assert drill_in([other]) is None
    assert drill_in([kept(b'{"by": "another program"}')]) is None


def test_a_drill_of_today_is_well() -> None:
    check = drill_check(DRILL, AT_S + 3_600)

    assert (check.ok, check.warning, check.latency_ms) == (True, False, 41.5)
    assert check.message == "2 agents answered 1.0 h ago, slowest a 41.5 ms"


def test_one_that_is_due_or_was_missed_is_a_warning_and_no_failure() -> None:
    late = drill_check(DRILL, AT_S + 25 * 3_600)
    missed = drill_check(msgspec.structs.replace(DRILL, missed=1), AT_S)
    never = drill_check(None)

    assert [(one.ok, one.warning) for one in (late, missed, never)] == [(True, True)] * 3
    assert "1 did not answer" in missed.message
    assert never.message == "never drilled"
