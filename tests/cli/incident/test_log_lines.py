from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from orchestrator.cli.errors import Failure
from orchestrator.cli.incident import log_lines as module
from orchestrator.cli.incident.log_lines import TAIL_LINES, log_lines
from orchestrator.cli.incident.span import Span

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SPAN = Span(NOON - MINUTE, NOON, NOON + MINUTE)


def line(at: str, text: str = "x") -> str:
    return f'{{"timestamp":"2026-01-31T{at}.000Z","event":"{text}"}}\n'


def test_lines_of_the_time_are_found_in_rotated_files_too(tmp_path: Path) -> None:
    file = tmp_path / "log"
    (tmp_path / "log.2").write_text(line("11:58:00", "early"))
    (tmp_path / "log.1").write_text(line("11:58:59", "early") + line("11:59:00", "first"))
    file.write_text(line("12:01:00", "last") + "Traceback\n" + line("12:01:01", "late"))

    found = log_lines(file, 3, SPAN)

    assert [one for one in found if "early" in one or "late" in one] == []
    assert "first" in found[0]
    assert "last" in found[1]
    assert found[2] == "Traceback"
    assert len(found) == 3


def test_without_a_line_of_the_time_the_last_ones_are_given(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("".join(line("15:00:00", str(number)) for number in range(1000)))

    found = log_lines(file, 1, SPAN)

    assert len(found) == TAIL_LINES
    assert '"999"' in found[-1]


def test_lines_for_eyes_have_a_time_as_well(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("2026-01-31T12:00:00.000Z info seen\n2026-01-31T12:05:00.000Z info late\n")

    assert log_lines(file, 1, SPAN) == ["2026-01-31T12:00:00.000Z info seen"]


def test_what_is_kept_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 500)
    file = tmp_path / "log"
    file.write_text(line("12:00:00") * 1000)

    assert len(log_lines(file, 1, SPAN)) < 20


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"\xff\x00" * 100_000 + b"\n" + line("12:00:00").encode())

    assert len(log_lines(file, 1, SPAN)) == 1


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot read"):
        log_lines(tmp_path / "none", 1, SPAN)
