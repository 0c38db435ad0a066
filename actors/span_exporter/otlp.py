"""Spans as OTLP's protobuf, by OpenTelemetry's own SDK; imported only where spans are exported."""

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from .spans import Span

_KINDS: Final = {"server": SpanKind.SERVER, "consumer": SpanKind.CONSUMER}
_IDS: Final = RandomIdGenerator()


def encoded(spans: Sequence[Span], about: Mapping[str, str]) -> bytes:
    """The body of one ``ExportTraceServiceRequest``.

    Args:
        spans: At least one.
        about: Attributes of the resource: ``service.name`` and the like.
    """
    resource = Resource(about)
    scope = InstrumentationScope("orchestrator", about["service.version"])
    request = encode_spans([_span(one, resource, scope) for one in spans])
    return bytes(request.SerializeToString())


def _span(span: Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    trace_id, parent_id = span.parent
    return ReadableSpan(
        span.name,
        context=SpanContext(
            trace_id, _IDS.generate_span_id(), is_remote=False, trace_flags=sampled
        ),
        parent=SpanContext(trace_id, parent_id, is_remote=True, trace_flags=sampled),
        resource=resource,
        attributes=dict(span.attributes),
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=span.began_ns,
        end_time=span.ended_ns,
        instrumentation_scope=scope,
    )
