from orchestrator.actors.events import Event
from orchestrator.actors.span_exporter.actor import span_of
from orchestrator.actors.span_exporter.spans import MAX_NAME, Parent

TS = "2026-01-31T09:00:00.250Z"
RECEIVED_NS = 1_769_850_000_250_000_000


def test_a_span_lasts_from_the_receipt_until_the_journal() -> None:
    span = span_of(Event(7, "strategy.x", b"{}", TS, "s-1"), Parent(1, 2), ended_ns=RECEIVED_NS + 5)

    assert (span.began_ns, span.ended_ns) == (RECEIVED_NS, RECEIVED_NS + 5)
    assert (span.name, span.kind, span.parent) == ("process strategy.x", "consumer", (1, 2))
    assert dict(span.attributes)["messaging.message.id"] == "7"


def test_names_of_strangers_have_a_bound() -> None:
    span = span_of(Event(7, "x" * 1_000, b"{}", TS, "y" * 1_000), Parent(1, 2), ended_ns=0)

    assert len(span.name) == len("process ") + MAX_NAME
    assert dict(span.attributes)["orchestrator.source"] == "y" * MAX_NAME


def test_an_event_without_a_source_names_none() -> None:
    span = span_of(Event(7, "x", b"{}", TS, None), Parent(1, 2), ended_ns=0)

    assert "orchestrator.source" not in dict(span.attributes)
