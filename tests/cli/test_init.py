"""The program as a whole: help, errors of usage, start time."""

import json
import resource
import subprocess
import sys

import click
import pytest
from orchestrator.__main__ import _VALUED_OPTIONS, _command
from orchestrator.cli import AREAS, cli
from processor import time_scale

from .conftest import Double, Orc, clean_environ

START_LIMIT_S = 0.2
NOBODY = "http://127.0.0.1:1"
HEAVY = {"gevent", "hiredis", "msgspec", "psycopg", "pydantic", "redis", "rich", "websockets"}
CLIENT_COMMANDS = [
    ("status",),
    ("agent", "ls"),
    ("event", "ls"),
    ("halt", "--reason", "x"),
    ("killswitch", "status"),
    ("regime",),
    ("state", "ls"),
]


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


ALL_COMMANDS = commands(cli)


@pytest.mark.parametrize("path", [path for path, _ in ALL_COMMANDS], ids=" ".join)
def test_every_help_begins_with_an_example(path: tuple[str, ...]) -> None:
    command = dict(ALL_COMMANDS)[path]
    context = click.Context(command, info_name=path[-1])

    text = command.get_help(context)

    assert text.startswith("Example:\n  ")
    assert "Usage:" in text
    assert command.help


def test_the_list_of_commands_says_what_each_is_without_importing_it(orc: Orc) -> None:
    done = orc("--help")

    assert done.code == 0
    for commands_of_area in AREAS.values():
        for name, (_, text) in commands_of_area.items():
            assert name in done.out
            assert text in done.out


def test_the_contracts_commands_are_there() -> None:
    paths = {" ".join(path) for path, _ in ALL_COMMANDS}

    assert paths >= {"run", "demo", "status", "tail", "halt", "regime", "doctor", "doctor agent"}
    assert paths >= {f"agent {verb}" for verb in ("ls", "show", "start", "stop", "restart", "run")}
    assert paths >= {f"event {verb}" for verb in ("ls", "get", "emit", "topics")}
    assert paths >= {
        "killswitch status",
        "killswitch release",
        "killswitch history",
        "state ls",
        "state get",
    }
    assert paths >= {"db migrate", "db status", "db prune", "config check", "config show"}
    assert paths >= {"selftest", "env", "completion", "version"}


def test_an_unknown_command_names_the_nearest(orc: Orc) -> None:
    done = orc("statsu")

    assert done.code == 2
    assert done.err == "error  there is no command 'statsu'\nnext   try `orchestrator status`\n"


def test_a_slip_of_the_pen_never_proposes_to_stop_trading(orc: Orc) -> None:
    done = orc("hal")

    assert done.code == 2
    assert done.err.endswith("next   to stop trading see `orchestrator halt --help`\n")


def test_wrong_usage_is_an_object_under_json_too(orc: Orc) -> None:
    done = orc("event", "get", "-o", "json")

    assert done.code == 2
    assert json.loads(done.err)["error"]["code"] == "usage"


def test_without_a_command_there_is_help_and_exit_code_two(orc: Orc) -> None:
    done = orc()

    assert done.code == 2
    assert "Usage:" in done.err


def test_global_options_stand_before_the_command_or_after_it(double: Double, orc: Orc) -> None:
    double.answers["/state"] = (200, {"state": [{"key": "k", "value": 1, "updated_at": None}]})

    before = orc("--url", double.url, "-o", "name", "state", "ls")
    after = orc("state", "ls", "-o", "name", "--url", double.url)
    environ = orc("state", "ls", ORCHESTRATOR_URL=double.url, ORCHESTRATOR_OUTPUT="name")
    wins = orc("-o", "json", "state", "ls", "-o", "name", ORCHESTRATOR_URL=double.url)

    assert before.out == after.out == environ.out == wins.out == "k\n"


def test_a_reader_that_goes_away_is_no_error(double: Double) -> None:
    rows = [{"key": f"key-{at}", "value": "x" * 100, "updated_at": None} for at in range(5_000)]
    double.answers["/state"] = (200, {"state": rows})
    command = f"{sys.executable} -m orchestrator --url {double.url} state ls | head -1"

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        env=clean_environ(),
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (141, "")


def test_an_unforeseen_error_is_told_in_the_same_form(double: Double, orc: Orc) -> None:
    double.answers["/state"] = (200, {"state": 1})

    done = orc("--url", double.url, "state", "ls")
    loud = orc("--url", double.url, "-v", "state", "ls")

    assert done.code == 1
    assert done.err.startswith("error  internal error\ncause  TypeError")
    assert "Traceback" in loud.err


@pytest.mark.parametrize("words", CLIENT_COMMANDS, ids=" ".join)
def test_client_commands_load_nothing_heavy(double: Double, words: tuple[str, ...]) -> None:
    program = (
        "import sys; from orchestrator.cli import run;"
        f"run({['--url', double.url, *words]!r}); print(*sys.modules, sep=chr(10))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=clean_environ(),
        check=True,
        timeout=60,
    )

    assert HEAVY.isdisjoint(done.stdout.split())


def best_s(*arguments: str) -> float:
    """Processor time of the quickest of several runs: other load of the machine does not count."""
    times = []
    # A stop that is not answered leaves a file: not for a daemon of whoever runs the tests.
    environ = clean_environ(ORCHESTRATOR_DATA_DIR="/proc/nowhere")
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *arguments], env=environ, capture_output=True, timeout=60, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(times)


@pytest.mark.timing
@pytest.mark.parametrize("words", [("status",), ("agent", "ls"), ("halt", "--reason", "x")])
def test_client_commands_start_with_less_than_200_ms_of_work(
    double: Double, words: tuple[str, ...]
) -> None:
    url = double.url if "halt" in words else NOBODY  # where nobody answers, it goes on
    bare_s = best_s("-c", "import click")

    started_s = best_s("-m", "orchestrator", "--url", url, *words)

    # On a slow machine Python itself takes its time: then it is the ratio that holds.
    assert started_s < max(START_LIMIT_S * time_scale(), 3 * bare_s)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("run", "run"),
        ("--url http://x run", "run"),
        ("-q --color never demo", "demo"),
        ("agent run x:Y", "agent"),
        ("--url=run status", "status"),
        ("--url run status", "status"),
        ("", ""),
        ("--help", ""),
    ],
)
def test_the_command_is_found_before_anything_is_loaded(line: str, found: str) -> None:
    assert _command(line.split()) == found


def test_the_options_that_take_a_value_are_known_to_the_entry_point() -> None:
    valued = {
        name
        for parameter in cli.params
        if isinstance(parameter, click.Option) and not parameter.is_flag
        for name in parameter.opts
    }

    assert valued == set(_VALUED_OPTIONS)


@pytest.mark.parametrize(("words", "patched"), [(["run"], True), (["version"], False)])
def test_only_daemons_are_patched(words: list[str], patched: bool) -> None:
    program = (
        "import sys, orchestrator.cli, orchestrator.__main__ as entry;"
        f"sys.argv = ['orc', *{words!r}]; orchestrator.cli.main = lambda: None; entry.main();"
        "m = sys.modules.get('gevent.monkey'); print(bool(m and m.is_module_patched('socket')))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == str(patched)
