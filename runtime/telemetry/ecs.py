"""Log lines with the names of the Elastic Common Schema 8 (pure).

Fields without a name there are under ``orchestrator``, so that none of them meets another
program's of the same name and another type.
"""

from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = "8.11.0"

NAMES: Final = {
    "actor": "log.logger",
    "request_id": "http.request.id",
    "method": "http.request.method",
    "path": "url.path",
    "status": "http.response.status_code",
    "client": "client.address",
    "error": "error.message",
    "pid": "process.pid",
}
"""Ours, and the schema's."""

_NS_PER_MS: Final = 1_000_000


def ecs_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a line; begins as the specification of ECS logging demands."""
    rest = dict(event)
    line: dict[str, Any] = {
        "@timestamp": rest.pop("timestamp", ""),
        "log.level": rest.pop("level", ""),
        "message": rest.pop("event", ""),
        "ecs.version": VERSION,
        "service.name": "orchestrator",
    }
    if trace := rest.pop("trace", None):
        line["error.stack_trace"] = "\n".join(map(str, trace))
    if isinstance(ms := rest.pop("ms", None), int | float):
        line["event.duration"] = int(ms * _NS_PER_MS)
    own = {}
    for key, value in rest.items():
        if key in NAMES:
            line[NAMES[key]] = value
        else:
            own[key] = value
    if own:
        line["orchestrator"] = own
    return line
