"""A collector: a real HTTP server that reads OTLP's protobuf and answers as a test wants it to."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(http.server.ThreadingHTTPServer):
    """Keeps the spans that were posted to `/v1/traces`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        """Statuses of the next answers; 200 once there are none left."""
        self.hangs = threading.Event()
        """Set: nothing is answered."""
        self.asked = 0
        self.spans: list[Any] = []
        self.resource: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"

    def by_name(self) -> dict[str, Any]:
        return {span.name: span for span in self.spans}

    def keep(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = attributes(resource.resource)
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)


def attributes(holder: Any) -> dict[str, str]:
    """Of a span or a resource, as text."""
    return {
        one.key: one.value.string_value or str(one.value.int_value) for one in holder.attributes
    }


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        while self.server.hangs.is_set():
            threading.Event().wait(0.05)
        status = self.server.answers.pop(0) if self.server.answers else 200
        good = self.headers["Content-Type"] == "application/x-protobuf"
        if good and status == 200 and self.path == "/v1/traces":
            self.server.keep(body)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    thread = threading.Thread(target=collector.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.hangs.clear()
        collector.shutdown()
        thread.join(10)
        collector.server_close()
