import msgspec
from orchestrator.actors.events import REGIME, Event
from orchestrator.actors.state_keeper.regime import read_regime, regime_value
from orchestrator.sql.state import StateRow

TS = "2026-01-31T09:30:00.000Z"


def row(value: bytes) -> StateRow:
    return StateRow("regime_state", msgspec.Raw(value), "2026-01-01T00:00:00.000Z")


def test_a_report_is_kept_with_when_and_from_whom() -> None:
    value = regime_value(Event(1, REGIME, b'{"regime":"stable","n":1.50}', TS, "detector"))

    assert value == (
        b'{"regime":"stable","n":1.50,"last_update":"' + TS.encode() + b'","source":"detector"}'
    )


def test_a_report_that_is_no_object_is_put_into_one() -> None:
    value = regime_value(Event(1, REGIME, b'["odd"]', TS, None))

    assert msgspec.json.decode(value)["value"] == ["odd"]


def test_what_was_kept_is_read_back() -> None:
    regime = read_regime(row(regime_value(Event(1, REGIME, b'{"regime":"stable"}', TS, "d"))))

    assert (regime.last_update, regime.source) == (TS, "d")


def test_a_value_of_another_program_is_taken_as_it_is() -> None:
    regime = read_regime(row(b'{"regime":"volatile","source":7}'))

    assert (regime.last_update, regime.source) == ("2026-01-01T00:00:00.000Z", None)


def test_a_value_nested_without_end_is_taken_as_it_is() -> None:
    deep = b'{"regime":' + b"[" * 3000 + b"]" * 3000 + b"}"

    assert read_regime(row(deep)).source is None
