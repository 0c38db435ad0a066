import subprocess
import sys

import pytest
from orchestrator import __version__
from orchestrator.cli.local_settings import missing_extra

from ..conftest import Orc, RunningDaemon, run_orc


def test_wrong_settings_are_exit_code_two(orc: Orc) -> None:
    done = orc("run", "-c", "nowhere.toml")

    assert done.code == 2
    assert "nowhere.toml" in done.err


@pytest.mark.subprocess
def test_a_second_daemon_on_the_same_directory_is_told_in_one_line(
    daemon: RunningDaemon,
) -> None:
    done = run_orc(daemon.folder, ("run",), "", {"PORT": "0"})

    assert done.code == 1
    assert "another daemon" in done.err
    assert "Traceback" not in done.err


@pytest.mark.subprocess
def test_on_another_port_the_banner_says_how_commands_find_it(daemon: RunningDaemon) -> None:
    log = (daemon.folder / "daemon.log").read_text()

    assert f"  for commands     export ORCHESTRATOR_URL={daemon.url}\n" in log


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (["run"], "gevent", "daemon"),
        (["demo"], "gevent", "embedded"),
        (["config", "check"], "pydantic", "daemon"),
        (["doctor"], "pydantic", "daemon"),
        (["db", "status"], "psycopg", "daemon"),
    ],
)
def test_a_plain_installation_says_what_to_install(
    words: list[str], missing: str, extra: str
) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['orc', *{words!r}];"
        "from orchestrator.__main__ import main; main()"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 3, "no traceback"
    assert f"cause  there is no module {missing}" in done.stderr
    assert (
        f"next   pip install './orchestrator_lite-{__version__}-py3-none-any.whl[{extra}]'"
        in done.stderr
    )


def test_what_is_missing_is_named_with_how_to_install_it() -> None:
    failure = missing_extra(ModuleNotFoundError("x", name="gevent"), "daemon")

    assert failure.cause == "there is no module gevent"
    assert failure.advice is not None
    assert failure.advice.endswith(".whl[daemon]'")
