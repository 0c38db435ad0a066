import pytest
from orchestrator.actors.span_exporter.spans import MAX_WAITING, Parent, Span, Spans, parent_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"


def test_a_sampled_parent_is_taken() -> None:
    assert parent_of(SAMPLED) == Parent(int(TRACE, 16), int(SPAN, 16))
    assert parent_of(f"00-{TRACE}-{SPAN}-03") == parent_of(SAMPLED)


@pytest.mark.parametrize(
    "given",
    [
        None,
        7,
        "",
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE}-{SPAN}-02",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"{SAMPLED} ",
        f"{SAMPLED}-x",
    ],
)
def test_what_is_not_sampled_or_not_well_formed_is_no_parent(given: object) -> None:
    assert parent_of(given) is None


def test_a_request_becomes_a_span_of_the_servers() -> None:
    spans = Spans()

    spans.add_request(SAMPLED, "GET", "/bus/events/{id}", 503, 0.25)
    spans.add_request("no trace", "GET", "/ready", 200, 0.25)

    [span] = spans.take(10)
    assert (span.name, span.kind, span.failed) == ("GET /bus/events/{id}", "server", True)
    assert span.ended_ns - span.began_ns == 250_000_000
    assert dict(span.attributes)["http.response.status_code"] == 503


@pytest.mark.parametrize(
    ("status", "failed"), [(200, False), (404, False), (499, False), (500, True)]
)
def test_only_the_daemons_own_failures_are_errors(status: int, *, failed: bool) -> None:
    spans = Spans()

    spans.add_request(SAMPLED, "GET", "/x", status, 0.1)

    assert spans.take(1)[0].failed is failed


def test_beyond_its_room_the_oldest_are_dropped_and_counted() -> None:
    spans = Spans()
    for number in range(MAX_WAITING + 3):
        spans.add(Span(Parent(1, 1), str(number), "consumer", 0, 1, ()))

    assert len(spans) == MAX_WAITING
    assert spans.results["dropped"] == 3
    assert [one.name for one in spans.take(2)] == ["3", "4"]
    assert len(spans) == MAX_WAITING - 2
