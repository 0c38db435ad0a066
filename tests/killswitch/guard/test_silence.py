"""What the guard takes for silence."""

from orchestrator.killswitch.guard.silence import Quiet, Silence


def looks(silence: Silence, until_s: float, *, begin_s: float = 0.0, stopped: bool = False) -> str:
    """Look each 100 ms; returns the findings with their times."""
    tenths = range(int(begin_s * 10) + 1, int(until_s * 10) + 1)
    said = ((silence.look(tenth / 10, stopped=stopped), tenth / 10) for tenth in tenths)
    return ", ".join(f"{finding.value} at {at_s:g}" for finding, at_s in said if finding)


def test_silence_counts_from_the_last_beat_and_is_found_once() -> None:
    silence = Silence(1.5, 10.0, 0.0)
    silence.look(0.4, stopped=False)
    silence.beat(0.4)

    assert looks(silence, 5.0, begin_s=0.4) == "silent at 2"


def test_after_a_beat_silence_is_found_anew() -> None:
    silence = Silence(1.5, 10.0, 0.0)
    assert looks(silence, 2.0) == "silent at 1.6"

    assert silence.beat(2.0) is True
    assert silence.beat(2.1) is False

    assert looks(silence, 4.0, begin_s=2.0) == "silent at 3.7"


def test_a_silence_that_lasts_is_a_hang() -> None:
    assert looks(Silence(1.5, 3.0, 0.0), 8.0) == "silent at 1.6, hung at 3.1"


def test_a_stopped_daemon_is_silent_and_does_not_hang() -> None:
    silence = Silence(1.5, 3.0, 0.0)

    assert looks(silence, 100.0, stopped=True) == "silent at 1.6"
    assert looks(silence, 104.0, begin_s=100.0) == "hung at 103.1"


def test_time_in_which_the_guard_did_not_run_either_is_no_silence_of_the_daemon() -> None:
    silence = Silence(1.5, 3.0, 0.0)
    looks(silence, 1.0)

    assert silence.look(3600.0, stopped=False) is None

    assert looks(silence, 3601.0, begin_s=3600.0) == "silent at 3600.6"


def test_a_late_look_leaves_no_credit_for_later() -> None:
    quiet = Quiet(0.0)
    quiet.heard(9.9)

    assert quiet.look(10.0) == 0.0
    assert quiet.look(10.4) == 10.4 - 10.0


def test_a_look_in_time_counts_all_of_it() -> None:
    quiet = Quiet(0.0)

    assert quiet.look(0.5) == 0.5
    assert quiet.look(1.0) == 1.0
