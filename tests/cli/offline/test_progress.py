import pytest
from orchestrator.cli.offline.progress import Progress, bar_text
from orchestrator.cli.output import Screen


def test_a_terminal_gets_a_bar() -> None:
    shown = bar_text(0.5, "10 events", "5/s", bar=True)

    assert shown == "[###############...............]   50 %  10 events  5/s"


def test_a_pipe_gets_plain_text() -> None:
    assert bar_text(1.5, "10 events", "5/s", bar=False) == "100 %  10 events  5/s"
    assert bar_text(None, "10 events", "5/s", bar=False) == "10 events  5/s"


def test_it_is_told_now_and_then_and_summed_up_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    progress = Progress(Screen(), "events", clock=lambda: now[0])
    for second in range(1, 12):
        now[0] = second
        progress.advance(100, second / 20)

    assert progress.end() == "1100 events in 11 s"
    assert capsys.readouterr().err.splitlines() == [
        " 25 %  500 events  100/s",
        " 50 %  1000 events  100/s",
    ]


def test_who_wants_quiet_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    progress = Progress(Screen(quiet=True), "events", clock=lambda: now[0])
    now[0] = 60.0
    progress.advance(1, 1.0)

    assert capsys.readouterr().err == ""
