"""What is new among the lines that the daemon keeps, and what is done while it is away."""

from itertools import islice
from typing import Any

import pytest
from orchestrator.cli.client.agent_logs import INTERVAL_S, RETRY_LIMIT_S, LineCounter, follow
from orchestrator.cli.errors import ExitCode, Failure
from orchestrator.cli.output import Row


def lines(first: int, last: int) -> list[Row]:
    return [{"text": str(number)} for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("total", "kept", "expected", "missed"),
    [
        (5, lines(1, 5), [], 0),
        (7, lines(3, 7), ["6", "7"], 0),
        (20, lines(16, 20), ["16", "17", "18", "19", "20"], 10),
        (2, lines(1, 2), ["1", "2"], 0),
    ],
    ids=["nothing new", "some", "more than are kept", "another daemon"],
)
def test_new_lines_are_told_from_those_that_were_seen(
    total: int, kept: list[Row], expected: list[str], missed: int
) -> None:
    counter = LineCounter()
    first, _ = counter.new(5, lines(4, 5))
    assert [line["text"] for line in first] == ["4", "5"]

    found, more = counter.new(total, kept)

    assert ([line["text"] for line in found], more) == (expected, missed)


class Daemon:
    """Answers what it was given, one after another."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.waits: list[float] = []
        self.notes: list[str] = []

    def fetch(self) -> dict[str, Any]:
        answer = self._answers.pop(0)
        if isinstance(answer, Failure):
            raise answer
        return {"total": answer, "lines": lines(1, answer)}

    def follow(self) -> Any:
        return follow(self.fetch, self.notes.append, sleep=self.waits.append)


def failure(exit_code: ExitCode) -> Failure:
    return Failure("no answer", code="x", exit_code=exit_code)


def test_lines_are_followed_over_a_daemon_that_is_away_for_a_while() -> None:
    away = failure(ExitCode.UNREACHABLE)
    daemon = Daemon(2, away, away, 3)

    found = [line["text"] for line in islice(daemon.follow(), 3)]

    assert found == ["1", "2", "3"]
    assert daemon.notes == ["no answer: retrying"]
    assert daemon.waits == [INTERVAL_S] * 3


def test_a_refusal_ends_it() -> None:
    with pytest.raises(Failure, match="no answer"):
        next(Daemon(failure(ExitCode.NOT_FOUND)).follow())


def test_a_daemon_that_stays_away_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, RETRY_LIMIT_S + 1])
    monkeypatch.setattr("orchestrator.cli.client.agent_logs.time.monotonic", lambda: next(clock))
    daemon = Daemon(*[failure(ExitCode.UNREACHABLE)] * 3)

    with pytest.raises(Failure, match="no answer"):
        next(daemon.follow())

    assert len(daemon.waits) == 2
