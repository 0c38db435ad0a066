from orchestrator import __version__

from ..conftest import Double, Orc


def test_both_versions_are_told(double: Double, orc: Orc) -> None:
    double.answers["/health"] = (200, {"version": "9.9.9"})

    versions = orc("--url", double.url, "version", "-o", "json").json

    assert (versions["orchestrator"], versions["daemon"]) == (__version__, "9.9.9")


def test_without_a_daemon_its_own_is_told(orc: Orc) -> None:
    done = orc("--url", "http://127.0.0.1:1", "version")

    assert done.code == 0
    assert "daemon        not reached" in done.out


def test_the_option_tells_it_in_one_line(orc: Orc) -> None:
    assert orc("--version").out == f"orchestrator {__version__}\n"
