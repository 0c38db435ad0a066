from datetime import UTC, datetime, timedelta

from orchestrator.cli.incident.span import Span


def test_both_ends_are_in_it() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    span = Span(noon - timedelta(minutes=5), noon, noon + timedelta(minutes=5))

    assert span.moment_text == "2026-01-31T12:00:00.000Z"
    assert span.holds("2026-01-31T11:55:00.000Z")
    assert span.holds("2026-01-31T12:05:00.000Z")
    assert not span.holds("2026-01-31T11:54:59.999Z")
    assert not span.holds("2026-01-31T12:05:00.001Z")
