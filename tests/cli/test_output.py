import csv
import io
import json
import unicodedata

import pytest
from orchestrator.cli.errors import Failure
from orchestrator.cli.output import Column, Screen, cut, fit, wants_color

from ..hostile import HOSTILE

COLUMNS = (
    Column("STATE", "state", state=True),
    Column("ID", "id"),
    Column("COUNT", "count", right=True),
    Column("NAME", "name", wide=True),
    Column("NOTE", "note", shrinks=True),
)
ROWS = [
    {"state": "up", "id": "regime-1", "count": 7, "name": "R", "note": None},
    {"state": "down", "id": "execution-2", "count": 12_345, "name": "E", "note": "exit, 139"},
]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_pipe_gets_aligned_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().records("agents", ROWS, COLUMNS, "id")

    assert capsys.readouterr().out.splitlines() == [
        "STATE  ID           COUNT  NOTE",
        "up     regime-1         7  -",
        "down   execution-2  12345  exit, 139",
    ]


def test_wide_has_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(output="wide").records("agents", ROWS, COLUMNS, "id")

    assert "NAME" in capsys.readouterr().out.splitlines()[0]


def test_colour_when_asked_for_even_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(color="always").records("agents", ROWS, COLUMNS, "id")

    assert "\x1b[31mdown\x1b[0m" in capsys.readouterr().out


def test_json_is_an_object_with_version_and_kind(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(output="json").records("agents", ROWS, COLUMNS, "id")

    assert json.loads(capsys.readouterr().out) == {"version": 1, "kind": "agents", "items": ROWS}


def test_jsonl_is_a_row_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(output="jsonl").records("agents", ROWS, COLUMNS, "id")

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


def test_name_is_what_xargs_needs(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(output="name").records("agents", ROWS, COLUMNS, "id")

    assert capsys.readouterr().out == "regime-1\nexecution-2\n"


def test_csv_has_raw_values_of_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(output="csv").records("agents", ROWS, COLUMNS, "id")

    assert capsys.readouterr().out.splitlines() == [
        "state,id,count,name,note",
        "up,regime-1,7,R,",
        'down,execution-2,12345,E,"exit, 139"',
    ]


def test_an_empty_table_is_nothing_and_empty_json_is_a_list(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Screen().records("agents", [], COLUMNS, "id")
    assert capsys.readouterr().out == ""

    Screen(output="json").records("agents", [], COLUMNS, "id")
    assert json.loads(capsys.readouterr().out)["items"] == []


def test_one_thing_has_its_fields_beside_version_and_kind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Screen(output="json").record("agent", {"id": "a"}, lambda: ["never"], "id")

    assert json.loads(capsys.readouterr().out) == {"version": 1, "kind": "agent", "id": "a"}


def test_a_cell_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().records("x", [{"id": "\x1b[2J"}], COLUMNS[1:2], "id")

    assert "\x1b" not in capsys.readouterr().out


def test_on_a_narrow_terminal_notes_give_way_and_ids_do_not() -> None:
    columns = (Column("ID", "id"), Column("NOTE", "note", shrinks=True))

    assert fit([2, 4], [["x" * 20, "y" * 80]], columns, 50) == [20, 28]
    assert fit([2, 4], [["x" * 20, "y" * 80]], columns, 10) == [20, 12]
    assert fit([2, 4], [["x" * 20, "y" * 80]], columns, None) == [20, 80]


def test_what_is_cut_shows_it() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"


def test_colour_is_for_terminals_and_no_color_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wants_color("auto", terminal=True)
    assert not wants_color("auto", terminal=False)
    assert not wants_color("never", terminal=True)

    monkeypatch.setenv("NO_COLOR", "1")

    assert not wants_color("auto", terminal=True)
    assert wants_color("always", terminal=True)


def test_a_dumb_terminal_has_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")

    assert not wants_color("auto", terminal=True)


def test_times_in_a_pipe_are_iso() -> None:
    assert Screen().moment("2026-01-31T09:30:00.123Z") == "2026-01-31T09:30:00.123Z"
    assert Screen().age("2026-01-31T09:30:00.123Z", 3) == "2026-01-31T09:30:00.123Z"
    assert Screen().moment(None) == "-"


def test_notes_go_to_stderr_and_quiet_keeps_them_back(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().note("by the way")
    Screen(quiet=True).note("by the way")

    assert capsys.readouterr() == ("", "by the way\n")


def test_an_error_is_three_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().failure(Failure("it broke", code="broken", cause="rust", advice="oil it"))

    assert capsys.readouterr() == ("", "error  it broke\ncause  rust\nnext   oil it\n")


def test_an_error_is_an_object_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(output="json").failure(Failure("it broke", code="broken"))

    assert json.loads(capsys.readouterr().err)["error"]["code"] == "broken"


# Text that bites


@pytest.mark.parametrize("output", ["table", "wide", "json", "jsonl", "csv", "name"])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_output_carries_what_bites(
    capsys: pytest.CaptureFixture[str], text: str, output: str
) -> None:
    Screen(output=output).records("things", [{"id": text, "n": 1}], [Column("ID", "id")], "id")

    written = capsys.readouterr()
    signs = {unicodedata.category(sign) for sign in (written.out + written.err).replace("\n", "")}
    assert not signs & {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}
    if output in ("table", "wide", "csv"):
        assert written.out.count("\n") == 2
    if output == "json":
        assert json.loads(written.out)["items"] == [{"id": text, "n": 1}]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_that_a_command_forgot_to_escape_is_one_line_all_the_same(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    screen = Screen(color="always")
    for write in (screen.line, screen.note, screen.warn):
        write(screen.state("up") + text)

    written = capsys.readouterr()
    assert [written.out.count("\n"), written.err.count("\n")] == [1, 2]
    signs = {unicodedata.category(sign) for sign in (written.out + written.err).replace("\n", "")}
    assert not signs & {"Cf", "Cs", "Zl", "Zp", "Co", "Cn"}
    assert "\x1b[2J" not in written.out + written.err
    assert "\x1b[32mup" in written.out


@pytest.mark.parametrize("text", HOSTILE)
def test_name_writes_the_very_name_or_leaves_it_out_and_says_so(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    Screen(output="name").records("things", [{"id": text}], [], "id")

    written = capsys.readouterr()
    assert written.out in (f"{text}\n", "")
    assert ("left out" in written.err) is (written.out == "")


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1+2", "@SUM(1)", "\t=1", "\r=1", "=cmd|' /C x'!A0", "\uff1d1", "\uff20A"],
)
def test_no_cell_of_csv_is_a_formula_and_numbers_stay_numbers(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    columns = [Column("ID", "id"), Column("N", "n")]
    Screen(output="csv").records("things", [{"id": text, "n": -1.5}], columns, "id")

    [_, row] = csv.reader(io.StringIO(capsys.readouterr().out))
    assert row[0].startswith("'")
    assert row[1] == "-1.5"
