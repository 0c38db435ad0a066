import json
import signal
import subprocess
import sys

import click
import pytest
import redis
from orchestrator import cli
from orchestrator.cli.commands.agent import _agent_lines
from orchestrator.cli.commands.agent_rows import agent_state, in_order
from orchestrator.cli.output import Screen

from ..conftest import Double, Orc, RunningDaemon, clean_environ, on_a_terminal

AGENT = "dev-agent"


@pytest.mark.subprocess
def test_two_processes_under_one_id_stand_in_the_list(orc: Orc, double: Double) -> None:
    row = {"id": "a-1", "liveness": "up", "status": "active", "instances": 2}
    double.answers["/health/agents"] = (200, {"agents": [row]})

    assert "2 processes beat under this id" in orc("--url", double.url, "agent", "ls").out


def beat(daemon: RunningDaemon, agent_id: str, **fields: str) -> None:
    with redis.Redis.from_url(daemon.redis_url) as bus:
        bus.publish(f"heartbeat.{agent_id}", json.dumps({"agent_id": agent_id, **fields}))


@pytest.mark.subprocess
def test_agents_are_listed_with_their_state_first(daemon: RunningDaemon) -> None:
    beat(daemon, "cli-1", group="listed")

    done = daemon.orc("agent", "ls", "--group", "listed")

    heading, row = done.out.splitlines()
    assert heading.split() == ["STATE", "ID", "GROUP", "KIND", "BEAT", "NOTE"]
    assert row.split()[:4] == ["up", "cli-1", "listed", "external"]
    assert done.err == "1 shown\n"


@pytest.mark.subprocess
def test_every_output_is_there(daemon: RunningDaemon) -> None:
    beat(daemon, "cli-2", group="outputs")

    assert daemon.orc("agent", "ls", "--group", "outputs", "-o", "name").out == "cli-2\n"
    document = daemon.orc("agent", "ls", "--group", "outputs", "-o", "json").json
    assert (document["version"], document["kind"]) == (1, "agents")
    assert document["items"][0]["id"] == "cli-2"
    row = json.loads(daemon.orc("agent", "ls", "--group", "outputs", "-o", "jsonl").out)
    # Its age may be a second more by then.
    assert row == document["items"][0] | {"seconds_since_beat": row["seconds_since_beat"]}
    heading, first = daemon.orc("agent", "ls", "--group", "outputs", "-o", "csv").out.splitlines()
    assert heading.startswith("state,id,agent_group,kind")
    assert ",cli-2,outputs,external," in first


@pytest.mark.subprocess
def test_states_narrow_the_list_and_the_footer_says_so(daemon: RunningDaemon) -> None:
    beat(daemon, "cli-3", group="narrow")
    beat(daemon, "cli-4", group="narrow", status="error", last_error="no feed")

    done = daemon.orc("agent", "ls", "--group", "narrow", "--state", "error,down")

    assert done.out.splitlines()[1].split()[:2] == ["error", "cli-4"]
    assert done.out.splitlines()[1].endswith("no feed")
    assert done.err == "1 shown, 1 up hidden by --state error,down (-a for all)\n"
    every = daemon.orc("agent", "ls", "--group", "narrow", "--state", "error,down", "-a")
    assert every.err == "2 shown\n"


@pytest.mark.subprocess
def test_an_agent_is_shown_with_its_latest_events(daemon: RunningDaemon) -> None:
    beat(daemon, "cli-5", group="shown", name="The Fifth")

    text = daemon.orc("agent", "show", "cli-5").out
    row = daemon.orc("agent", "show", "cli-5", "-o", "json").json

    assert "name    The Fifth\n" in text
    assert row["events"][0]["type"] == "heartbeat"
    assert row["managed"] is None


@pytest.mark.subprocess
def test_an_unknown_agent_is_exit_code_five_and_the_nearest_is_named(
    daemon: RunningDaemon,
) -> None:
    done = daemon.orc("agent", "show", "dev-agnt")

    assert done.code == 5
    assert f"cause  did you mean '{AGENT}'?" in done.err
    assert "doctor agent dev-agnt" in done.err


@pytest.mark.subprocess
def test_managed_agents_are_stopped_and_started(daemon: RunningDaemon) -> None:
    stopped = daemon.orc("agent", "stop", AGENT)
    started = daemon.orc("agent", "start", AGENT, "-o", "json")

    assert stopped.code == started.code == 0
    assert stopped.out.splitlines()[1].split()[:2] == ["STOPPED", AGENT]
    assert started.json["items"][0]["id"] == AGENT
    assert started.json["items"][0]["state"] in ("STARTING", "RUNNING")


@pytest.mark.subprocess
def test_what_was_done_in_part_is_exit_code_seven(daemon: RunningDaemon) -> None:
    done = daemon.orc("agent", "start", AGENT, "nobody")

    assert done.code == 7
    assert AGENT in done.out
    assert "error  the daemon runs no agent 'nobody'" in done.err


@pytest.mark.subprocess
def test_an_agent_that_is_not_the_daemons_cannot_be_started(daemon: RunningDaemon) -> None:
    done = daemon.orc("agent", "start", "nobody")

    assert done.code == 5
    assert "add it under [agents] in supervisor.toml" in done.err


def test_starting_what_places_orders_is_asked_about(double: Double, orc: Orc) -> None:
    row = {"id": "execution-1", "agent_group": "execution"}
    double.answers["/health/agents"] = (200, {"agents": [row]})
    double.answers["/runtime/agents/execution-1/start"] = (202, {"agent": row})

    declined = orc("--url", double.url, "agent", "start", "execution-1")
    agreed = orc("--url", double.url, "agent", "start", "execution-1", "--yes")

    assert declined.code == 2
    assert "start execution-1: it may place orders again." in declined.err
    assert agreed.code == 0
    assert [request[0] for request in double.requests].count("POST") == 1


def test_at_a_terminal_the_answer_is_typed(double: Double, tmp_path: object) -> None:
    row = {"id": "execution-1", "agent_group": "execution"}
    double.answers["/health/agents"] = (200, {"agents": [row]})
    words = ("--url", double.url, "agent", "restart", "execution-1")

    done = on_a_terminal(*words, folder=tmp_path, typed="n\n")  # type: ignore[arg-type]

    assert done.code == 1
    assert "nothing was done" in done.out
    assert not [request for request in double.requests if request[0] == "POST"]


def test_stopping_is_never_asked_about(double: Double, orc: Orc) -> None:
    double.answers["/runtime/agents/execution-1/stop"] = (202, {"agent": {"state": "STOPPED"}})

    done = orc("--url", double.url, "agent", "stop", "execution-1")

    assert done.code == 0
    assert [request[1] for request in double.requests] == ["/runtime/agents/execution-1/stop"]


def test_an_id_is_escaped_in_the_path(double: Double, orc: Orc) -> None:
    orc("--url", double.url, "agent", "stop", "a/../b")

    assert double.requests[0][1] == "/runtime/agents/a%2F..%2Fb/stop"


@pytest.mark.redis
def test_an_agent_runs_in_this_process_without_a_daemon(orc: Orc, redis_url: str) -> None:
    bad = orc("agent", "run", "orchestrator.agents.samples.dev:Nobody", REDIS_URL=redis_url)

    assert bad.code == 2
    assert "has no Nobody" in bad.err


def test_trouble_comes_first() -> None:
    rows = [
        {"id": "b", "liveness": "up", "status": "active"},
        {"id": "a", "liveness": "up", "status": "active"},
        {"id": "z", "liveness": "down", "status": "inactive"},
        {"id": "y", "liveness": "late", "status": "active"},
        {"id": "x", "liveness": "up", "status": "error"},
    ]

    assert [row["id"] for row in in_order(rows)] == ["x", "z", "y", "a", "b"]


def test_a_row_without_liveness_goes_by_is_alive() -> None:
    assert agent_state({"is_alive": True}) == "up"
    assert agent_state({"is_alive": False}) == "down"
    assert agent_state({"liveness": "down", "status": "error"}) == "down"


@pytest.mark.subprocess
def test_what_an_agent_prints_is_followed_until_ctrl_c(daemon: RunningDaemon) -> None:
    words = ["--url", daemon.url, "agent", "logs", AGENT, "-f", "-n", "1", "-o", "jsonl"]
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *words],
        stdout=subprocess.PIPE,
        cwd=daemon.folder,
        env=clean_environ(),
    )
    try:
        assert json.loads(process.stdout.readline())["text"], "the last one of before"
        assert daemon.orc("agent", "restart", AGENT, "--yes").code == 0
        assert json.loads(process.stdout.readline())["text"], "a new one"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("words", [("--before-crash",), ("-o", "csv")])
def test_what_cannot_be_followed_is_said(double: Double, orc: Orc, words: tuple[str, ...]) -> None:
    done = orc("--url", double.url, "agent", "logs", "a", "-f", *words)

    assert done.code == 2
    assert "exclude each other" in done.err or "cannot be CSV" in done.err


def test_a_run_is_shown_in_units_for_people() -> None:
    managed = {
        "id": "a-1",
        "kind": "process",
        "restarts": 2,
        "uptime_seconds": 93_600.4,
        "cpu_percent": 3.72,
        "memory_bytes": 41_234_567,
        "stopped_by_operator": False,
    }
    lines = _agent_lines({"id": "a-1", "managed": managed}, Screen(color="never"))

    facts = dict(click.unstyle(line).split("  ", 1) for line in lines)
    assert {label: text.strip() for label, text in facts.items() if label.startswith("run")} == {
        "run kind": "process",
        "run restarts": "2",
        "run up": "1d 02:00",
        "run cpu": "4 %",
        "run memory": "41 MB",
    }


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("nowhere:Agent", "cannot import nowhere"),
        ("json:Nothing", "json has no Nothing"),
        ("json", "'json' is not of the form module:Class"),
    ],
)
def test_an_agent_that_cannot_be_run_says_why_and_what_to_do(
    orc: Orc, path: str, cause: str
) -> None:
    done = orc("agent", "run", path)

    assert done.code == 2
    error, why, advice = done.err.splitlines()
    assert error == f"error  cannot run {path}"
    assert why.startswith(f"cause  {cause}")
    assert "agent new NAME" in advice


def test_one_that_is_not_halted_is_not_restarted_by_a_resume(
    double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": "acts", "liveness": "up", "status": "active", "kind": "process"},
        {"id": "elsewhere", "liveness": "up", "status": "active", "kind": "external"},
        {"id": "halted", "liveness": "late", "status": "halted", "kind": "in_process"},
    ]
    double.answers["/health/agents"] = (200, {"agents": rows})
    for one in rows:
        double.answers[f"/runtime/agents/{one['id']}/resume"] = (202, {"agent": one})
    resume = ["--yes", "--url", double.url, "agent", "resume"]

    partly = cli.run([*resume, "acts", "elsewhere", "halted"])
    alone = cli.run([*resume, "acts"])

    posted = [path for method, path, *_ in double.requests if method == "POST"]
    assert (partly, alone) == (7, 1)
    assert posted == ["/runtime/agents/elsewhere/resume", "/runtime/agents/halted/resume"]
    assert "acts is not halted" in capsys.readouterr().err
