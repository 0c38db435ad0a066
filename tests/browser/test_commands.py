"""Every command that the page shows or copies is one that the command line takes."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import pytest
import redis
from orchestrator.cli import cli

from ..conftest import wait_until
from .conftest import Daemon

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "http" / "dashboard"
NODE = shutil.which("node")
ANY_URL = "http://127.0.0.1:8090"
ANY_AGENT = ("module:Class", "orchestrator.agents.samples.dev:DevAgent")
CRITICAL, AGENTS_MISSING = 2, 7
REDIS_WORDS = 4
"""``redis-cli PUBLISH <channel> <payload>``."""

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.skipif(NODE is None, reason="Node is not installed: it prints the page's commands"),
]


@pytest.fixture(scope="module")
def commands() -> list[str]:
    loader = (HERE / "as_modules.mjs").as_uri()
    done = subprocess.run(
        [str(NODE), "--no-warnings", f"--import={loader}", str(HERE / "every_command.mjs")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> str:
    """Parse as the command line itself would, and run nothing; returns the innermost command.

    Raises:
        click.UsageError: There is no such command, option or argument.
    """
    context = command.make_context(command.name, list(words), parent=parent)
    rest = [*context._protected_args, *context.args]
    if not isinstance(command, click.Group) or not rest:
        return str(command.name)
    _, inner, rest = command.resolve_command(context, rest)
    assert inner is not None
    return parse(inner, rest, context)


def words_of(command: str, daemon: Daemon) -> list[str]:
    """As a shell would split it; for this daemon and this installation."""
    words = shlex.split(command.replace(ANY_URL, daemon.base_url).replace(*ANY_AGENT))
    return [sys.executable, "-m", "orchestrator", *words[1:]]


def run(command: str, daemon: Daemon) -> int:
    """Run a command to its end; its exit code."""
    done = subprocess.run(
        words_of(command, daemon),
        env=daemon.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Usage:" not in done.stderr, done.stderr
    return done.returncode


def starts(command: str, daemon: Daemon) -> bool:
    """Whether a command that has no end begins: a client more, or an agent that beats."""
    before = daemon.get("/health")["websocket_clients"]

    def begun() -> bool:
        clients = daemon.get("/health")["websocket_clients"]
        return bool(clients > before or daemon.get("/health/agents")["agents"])

    with subprocess.Popen(
        words_of(command, daemon), env=daemon.environment, stdout=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(lambda: begun() or process.poll() is not None, limit_s=60)
            return process.poll() is None
        finally:
            process.kill()
            process.wait()
            if " tail" in command:
                wait_until(lambda: daemon.get("/health")["websocket_clients"] == before)


def test_every_command_is_parsed_by_the_real_command_line(commands: list[str]) -> None:
    ours = [shlex.split(command) for command in commands if command.startswith("orc ")]

    parsed = {parse(cli, words[1:]) for words in ours}

    assert {"tail", "agent", "halt", "emit", "new", "run"} <= parsed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_command_runs_on_a_running_daemon(commands: list[str], daemon: Daemon) -> None:
    ours = [command for command in commands if command.startswith("orc ")]
    endless = [command for command in ours if " tail" in command or "agent run" in command]
    stops = [command for command in ours if command.startswith("orc halt")]
    (past,) = (shlex.split(command) for command in commands if command not in ours)

    with redis.Redis.from_url(daemon.redis_url) as client:
        client.execute_command(*past[1:])
    wait_until(lambda: daemon.get("/risk/killswitch")["status"] == "active")

    with ThreadPoolExecutor(len(ours)) as pool:
        ending = [command for command in ours if command not in endless]
        codes = dict(zip(ending, pool.map(lambda one: run(one, daemon), ending), strict=True))
    follows = {command: starts(command, daemon) for command in endless}

    unusual = {command.split()[1]: code for command, code in codes.items() if code != 0}
    assert unusual == {"halt": AGENTS_MISSING, "doctor": CRITICAL}, "no agent with a gate is there"
    assert all(follows.values()), follows
    assert len(daemon.get("/risk/killswitch")["trips"]) == len(stops) + 1


def test_an_option_that_does_not_exist_is_found() -> None:
    with pytest.raises(click.NoSuchOption):
        parse(cli, ["tail", "--importance", "high"])


def test_what_goes_past_the_daemon_stops_every_agent(commands: list[str]) -> None:
    past = [shlex.split(command) for command in commands if not command.startswith("orc ")]

    assert [words[:3] for words in past] == [["redis-cli", "PUBLISH", "risk.killswitch"]]
    assert len(past[0]) == REDIS_WORDS
    assert json.loads(past[0][3])["enabled"] is True


def test_the_page_names_no_command_past_the_module_that_is_tested() -> None:
    named = re.compile(r"\b(?:orc|orchestrator|redis-cli)(?: --?[\w-]+)* [a-z]{2,}")
    others = [path for path in PAGE.rglob("*.js") if path.name != "commands.js"]

    found = {str(path): named.findall(_strings(path.read_text())) for path in others}

    assert {name: words for name, words in found.items() if words} == {}


def test_the_page_without_scripts_names_commands_that_exist() -> None:
    named = re.findall(r"<code>orc (.+?)</code>", (PAGE / "index.html").read_text())

    assert [parse(cli, words.replace("…", "x").split()) for words in named] == [
        "status",
        "tail",
        "halt",
    ]


def _strings(source: str) -> str:
    """What stands in quotes, comments left out."""
    code = re.sub(r"/\*.*?\*/|^\s*//.*$", "", source, flags=re.DOTALL | re.MULTILINE)
    return "\n".join(re.findall(r'"[^"\n]*"|`[^`]*`', code))
