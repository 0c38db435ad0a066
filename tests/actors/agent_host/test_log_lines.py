"""What agents inside the daemon log, kept by agent."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from orchestrator.actors.agent_host.log_lines import (
    MAX_RECORD_LINES,
    end_line,
    kept_lines,
    log_as,
)
from orchestrator.runtime.processes.output import MAX_FIELDS, MAX_LINE_BYTES, ProcessOutput


@pytest.fixture
def output() -> Iterator[ProcessOutput]:
    """What agent ``a`` logs is kept there."""
    made = ProcessOutput()
    before = list(logging.getLogger().handlers)
    with kept_lines("a", made):
        yield made
    assert logging.getLogger().handlers == before


def texts(output: ProcessOutput) -> list[str]:
    return [line.text for line in output.last()]


def in_greenlet(agent_id: str, work: Any) -> None:
    def run() -> None:
        log_as(agent_id)
        work()

    gevent.spawn(run).get(timeout=10)


def test_it_is_told_by_the_logger_or_by_the_greenlet(output: ProcessOutput) -> None:
    logging.getLogger("agent.a").warning("by the kit's own logger")
    logging.getLogger("agent.a.b").warning("agent a.b is another one")
    logging.getLogger("elsewhere").warning("by nobody")
    in_greenlet("a", lambda: logging.getLogger("elsewhere").error("from its handler"))
    in_greenlet("b", lambda: logging.getLogger("elsewhere").error("from another's"))

    assert texts(output) == ["by the kit's own logger", "from its handler"]
    assert [line.level for line in output.last()] == ["warning", "error"]
    assert {line.stream for line in output.last()} == {"log"}
    assert output.total == 2


def test_fields_are_kept_as_far_as_they_are_plain(output: ProcessOutput) -> None:
    many = {f"f{number}": number for number in range(100)}
    log = logging.getLogger("agent.a")

    log.warning("filled %d", 7, extra={"symbol": "AAPL", "deep": {"no": 1}, "big": "x" * 99_999})
    log.warning("many", extra=many)

    first, second = output.last()
    assert (first.text, first.fields) == (
        "filled 7",
        {"symbol": "AAPL", "big": "x" * MAX_LINE_BYTES},
    )
    assert second.fields is not None
    assert len(second.fields) == MAX_FIELDS


def test_lines_of_structlog_keep_their_message_and_fields(output: ProcessOutput) -> None:
    event = {"event": "filled", "level": "error", "symbol": "AAPL", "timestamp": "now"}
    logging.getLogger("agent.a").error(event)

    [line] = output.last()
    assert (line.text, line.level, line.fields) == ("filled", "error", {"symbol": "AAPL"})


def test_a_stack_is_lines_and_its_end_is_kept(output: ProcessOutput) -> None:
    try:
        int("no number")
    except ValueError as error:
        error.args = ("\n".join(map(str, range(500))),)
        logging.getLogger("agent.a").exception("it fell")

    assert len(texts(output)) == MAX_RECORD_LINES
    assert texts(output)[0] == "it fell"
    assert "lines left out" in texts(output)[1]
    assert texts(output)[-1] == "499"


def test_what_others_size_costs_little(output: ProcessOutput) -> None:
    log = logging.getLogger("agent.a")
    begin = time.thread_time()
    for text in ("x" * 10_000_000, "\n" * 10_000_000, ""):
        log.warning(text)

    assert time.thread_time() - begin < 5
    assert all(len(text) <= MAX_LINE_BYTES + 50 for text in texts(output))


def test_what_cannot_be_formatted_is_no_trouble(
    output: ProcessOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)

    logging.getLogger("agent.a").warning("%d", "no number")

    assert texts(output) == []


def test_a_run_that_fails_has_a_last_line() -> None:
    line = end_line(ValueError("no\nport"))

    assert (line.text, line.level) == ("ended: ValueError: no port", "error")
