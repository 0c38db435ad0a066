from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from orchestrator.actors.span_exporter.otlp import encoded
from orchestrator.actors.span_exporter.spans import Parent, Span

from .collector import attributes

ABOUT = {"service.name": "orchestrator", "service.version": "1"}


def test_spans_are_what_the_protocol_says() -> None:
    given = [
        Span(Parent(2**127, 5), "a", "server", 10, 20, (("http.response.status_code", 503),), True),
        Span(Parent(7, 6), "b", "consumer", 30, 40, (("messaging.system", "redis"),)),
    ]

    [resource] = ExportTraceServiceRequest.FromString(encoded(given, ABOUT)).resource_spans
    [scope] = resource.scope_spans
    first, second = scope.spans

    assert attributes(resource.resource)["service.name"] == "orchestrator"
    assert scope.scope.name == "orchestrator"
    assert first.trace_id == (2**127).to_bytes(16)
    assert first.parent_span_id == (5).to_bytes(8)
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (10, 20)
    assert first.status.code == first.status.STATUS_CODE_ERROR
    assert attributes(first) == {"http.response.status_code": "503"}
    assert second.status.code == second.status.STATUS_CODE_UNSET
    assert len({first.span_id, second.span_id, bytes(8)}) == 3
