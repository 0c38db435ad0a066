import json
import secrets
import signal
import subprocess
import sys
from typing import Any

import pytest
import redis
from orchestrator.cli.commands.event import event_line
from orchestrator.cli.output import Screen

from ...conftest import wait_until
from ..conftest import Double, Orc, RunningDaemon, clean_environ

pytestmark = pytest.mark.subprocess


def new_type() -> str:
    return f"strategy.test.{secrets.token_hex(4)}"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def emitted(daemon: RunningDaemon, name: str, count: int) -> list[int]:
    return [
        daemon.orc("event", "emit", name, json.dumps({"n": at}), "-o", "json").json["id"]
        for at in range(count)
    ]


def test_what_is_emitted_is_stored_and_can_be_got(daemon: RunningDaemon) -> None:
    name = new_type()

    stored = daemon.orc("event", "emit", name, '{"symbol":"AAPL"}', "--source", "me", "-o", "json")
    event = daemon.orc("event", "get", f"#{stored.json['id']}", "-o", "json").json

    assert stored.json["status"] == "stored"
    assert (event["type"], event["source"], event["payload"]) == (name, "me", {"symbol": "AAPL"})


def test_a_payload_may_come_from_a_file_or_from_stdin(daemon: RunningDaemon) -> None:
    (daemon.folder / "payload.json").write_text('{"from": "file"}')
    name = new_type()

    daemon.orc("event", "emit", name, "@payload.json")
    daemon.orc("event", "emit", name, "-", stdin='{"from": "stdin"}')

    found = lines(daemon.orc("event", "ls", name, "-o", "jsonl").out)
    assert [event["payload"]["from"] for event in found] == ["file", "stdin"]


def test_the_same_words_select_stored_and_live_events(daemon: RunningDaemon) -> None:
    name = new_type()
    first, *_, last = emitted(daemon, name, 4)
    words = [name, "--where", "data.n > 0", "--not", f"{name}.x", "--where", "data.n != 2"]

    listed = lines(daemon.orc("event", "ls", *words, "-o", "jsonl").out)
    tailed = lines(
        daemon.orc(
            "tail", *words, "-o", "jsonl", "--since", str(first - 1), "--until-idle", "1s"
        ).out
    )
    refused = daemon.orc("event", "ls", "--where", "n > 0")

    assert [event["payload"]["n"] for event in listed] == [1, 3]
    assert listed[-1]["id"] == last
    assert len(tailed) == 2
    assert refused.code == 2
    assert "expected topic, source" in refused.err


def test_what_is_published_on_redis_can_be_listed(daemon: RunningDaemon) -> None:
    name = new_type()
    with redis.Redis.from_url(daemon.redis_url) as bus:
        bus.publish(name, '{"agent_id": "a-1", "symbol": "NVDA"}')

    tailed = lines(daemon.orc("tail", name, "--last", "1", "--count", "1", "-o", "jsonl").out)
    listed = daemon.orc("event", "ls", name, "--source", "a-1")

    assert tailed[0]["payload"]["symbol"] == "NVDA"
    assert listed.out.splitlines()[1].split()[2:] == [name, "a-1", "NVDA"]


def test_lists_go_backwards_from_now_or_forwards_from_an_id(daemon: RunningDaemon) -> None:
    name = new_type()
    ids = emitted(daemon, name, 4)

    latest = lines(daemon.orc("event", "ls", name, "-n", "2", "-o", "jsonl").out)
    words = ("event", "ls", name, "-n", "2", "--since", str(ids[0]))
    since = lines(daemon.orc(*words, "-o", "jsonl").out)
    recent = daemon.orc("event", "ls", name, "--since", "5m", "-o", "name")

    assert [event["id"] for event in latest] == ids[2:]
    assert [event["id"] for event in since] == ids[1:3]
    assert recent.out.split() == [str(at) for at in ids]


def test_the_footer_says_how_to_go_on(daemon: RunningDaemon) -> None:
    name = new_type()
    ids = emitted(daemon, name, 2)

    assert daemon.orc("event", "ls", name).err == "2 shown, that is all\n"
    done = daemon.orc("event", "ls", name, "-n", "1", "--since", str(ids[0] - 1))
    assert done.err == f"the first 1 shown; go on with --since {ids[0]}\n"
    assert daemon.orc("event", "ls", new_type()).out == ""


def test_an_event_that_is_not_there_is_exit_code_five(daemon: RunningDaemon) -> None:
    assert daemon.orc("event", "get", "999999999999").code == 5
    assert daemon.orc("event", "get", "x").code == 2


def test_the_daemons_own_types_cannot_be_emitted(daemon: RunningDaemon) -> None:
    done = daemon.orc("event", "emit", "risk.killswitch", "{}", "-o", "json")

    error = json.loads(done.err)["error"]
    assert (done.code, error["code"]) == (2, "bad_request")


def test_a_payload_that_is_no_json_is_wrong_usage(daemon: RunningDaemon) -> None:
    done = daemon.orc("event", "emit", "strategy.x", "{")

    assert done.code == 2
    assert done.err.startswith("error  the payload is not JSON\n")
    assert daemon.orc("event", "emit", "strategy.x", "@nowhere").code == 2


def test_topics_have_counts(daemon: RunningDaemon) -> None:
    name = new_type()
    (event_id,) = emitted(daemon, name, 1)

    def rows() -> dict[str, Any]:
        items = daemon.orc("event", "topics", "-o", "json").json["items"]
        return {row["type"]: row for row in items}

    wait_until(lambda: name in rows(), limit_s=30, what="the type in PostgreSQL")
    assert (rows()[name]["count"], rows()[name]["last_id"]) == (1, event_id)


def test_tail_shows_stored_events_and_then_live_ones(daemon: RunningDaemon) -> None:
    name = new_type()
    stored = emitted(daemon, name, 2)
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "tail", name, "--count", "4", "-o", "jsonl"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=daemon.folder,
        env=clean_environ(ORCHESTRATOR_URL=daemon.url),
    )
    assert process.stdout is not None
    first = [json.loads(process.stdout.readline()) for _ in stored]

    live = emitted(daemon, name, 2)
    rest, _ = process.communicate(timeout=30)

    assert [event["id"] for event in first + lines(rest)] == [*stored, *live]
    assert first[0].keys() >= {"id", "type", "payload", "ts", "source"}
    assert process.returncode == 0


def test_tail_ends_at_ctrl_c_with_130(daemon: RunningDaemon) -> None:
    name = new_type()
    emitted(daemon, name, 1)
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "tail", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=daemon.folder,
        env=clean_environ(ORCHESTRATOR_URL=daemon.url),
    )
    assert process.stdout is not None
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (130, "")


def test_tail_leaves_when_nothing_comes(daemon: RunningDaemon) -> None:
    name = new_type()
    emitted(daemon, name, 3)

    done = daemon.orc("tail", name, "--since", "5m", "--until-idle", "200ms")

    assert done.code == 0
    assert [line.split()[1] for line in done.out.splitlines()] == [name] * 3


def test_tail_in_a_pipe_has_iso_times_and_no_colour(daemon: RunningDaemon) -> None:
    name = new_type()
    (event_id,) = emitted(daemon, name, 1)

    done = daemon.orc("tail", name, "--count", "1")

    moment, shown, source, what, identity = done.out.split()
    assert moment.endswith("Z")
    assert (shown, source, what, identity) == (name, "-", "n=0", f"#{event_id}")


def test_tail_on_a_terminal_fits_its_width(daemon: RunningDaemon) -> None:
    name = new_type()
    daemon.orc("event", "emit", name, json.dumps({"note": "x" * 500}))

    done = daemon.on_a_terminal("tail", name, "--count", "1", columns=90, NO_COLOR="1")

    (line,) = done.out.splitlines()
    assert len(line) == 90
    assert "…" in line


@pytest.mark.parametrize(
    "words",
    [
        ("tail", "--since", "yesterday"),
        ("tail", "--since", "5m", "--last", "3"),
        ("tail", "--until-idle", "soon"),
        ("tail", "-o", "csv"),
        ("event", "ls", "--until", "soon"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_wrong_usage(orc: Orc, words: tuple[str, ...]) -> None:
    assert orc(*words).code == 2


def test_without_a_daemon_tail_is_exit_code_three(orc: Orc) -> None:
    done = orc("tail", "--url", "http://127.0.0.1:1")

    assert (done.code, done.out) == (3, "")
    assert "next   start the daemon with `orchestrator run`" in done.err


def test_an_empty_list_has_a_next_step(double: Double, orc: Orc) -> None:
    double.answers["/bus/events"] = (200, {"events": [], "has_more": False, "cursor": 0})

    done = orc("--url", double.url, "event", "ls")

    assert (done.code, done.out) == (0, "")
    assert done.err == "no such events; `event topics` lists the types\n"


def test_a_replacement_says_that_it_is_one() -> None:
    event = {"id": 7, "type": "bus.rejected", "ts": "", "payload": {}, "replaces": True}

    assert event_line(event, Screen(time="iso")).endswith("#7 (replaces)")


@pytest.mark.parametrize(("name", "kind"), [("gaps", "bus.gap"), ("rejected", "bus.rejected")])
def test_reports_of_the_daemon_have_lists_of_their_own(
    double: Double, orc: Orc, name: str, kind: str
) -> None:
    event = {"id": 7, "type": kind, "ts": "2026-01-31T09:30:00.000Z", "payload": {"reason": "x"}}
    double.answers["/bus/events"] = (200, {"events": [event], "has_more": False, "cursor": 7})

    listed = orc("--url", double.url, "event", name, "--since", "1d", "-o", "json").json
    double.answers["/bus/events"] = (200, {"events": [], "has_more": False, "cursor": 7})
    none = orc("--url", double.url, "event", name)

    assert [one["type"] for one in listed["items"]] == [kind]
    assert all(f"type={kind}" in path for _, path, *_ in double.requests)
    assert (none.out, none.code) == ("", 0)
    assert none.err.startswith("no")
