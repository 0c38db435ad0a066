from orchestrator.runtime.telemetry.ecs import NAMES, ecs_fields

LINE = {"timestamp": "2026-01-31T09:30:00.123Z", "level": "info", "event": "request"}


def test_a_line_begins_as_ecs_logging_demands() -> None:
    line = ecs_fields({"actor": "http", **LINE})

    assert [*line][:3] == ["@timestamp", "log.level", "message"]
    assert line["message"] == "request"
    assert line["log.logger"] == "http"
    assert line["ecs.version"].startswith("8.")


def test_a_request_has_the_schemas_names_and_types() -> None:
    about = {"method": "GET", "path": "/state", "status": 200, "ms": 1.5, "client": "10.0.0.1"}

    line = ecs_fields({**LINE, **about, "request_id": "r-1"})

    assert line["http.request.method"] == "GET"
    assert line["http.response.status_code"] == 200
    assert line["url.path"] == "/state"
    assert line["event.duration"] == 1_500_000
    assert line["http.request.id"] == "r-1"
    assert "orchestrator" not in line


def test_an_error_has_its_stack_as_one_text() -> None:
    line = ecs_fields({**LINE, "error": "ValueError: x", "trace": ["a.py:1 f", "b.py:2 g"]})

    assert line["error.message"] == "ValueError: x"
    assert line["error.stack_trace"] == "a.py:1 f\nb.py:2 g"


def test_what_the_schema_has_no_name_for_is_kept_apart() -> None:
    line = ecs_fields({**LINE, "deleted": 7, "ms": "slow"})

    assert line["orchestrator"] == {"deleted": 7}
    assert len({*NAMES.values()}) == len(NAMES)
