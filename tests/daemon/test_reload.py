"""Settings that are read again by a running daemon, agents above all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from orchestrator.settings import Settings, load

from ..http.conftest import LIMIT_S, Served, shared

SLEEPER = 'command = ["sh", "-c", "exec sleep 1000"]\n'
HOSTED = 'mode = "in_process"\nclass = "orchestrator.agents.samples.dev:DevAgent"\n'
TALKER = """
from orchestrator.agents import Agent

class Talker(Agent):
    def on_start(self):
        self.log.warning("it begins", extra={"desk": "a"})
"""


class File:
    """The settings' file of the daemon under test."""

    def __init__(self) -> None:
        self.path = Path()
        self.base: Settings | None = None
        """What the daemon was started with."""

    def write(self, text: str, *, mode: int = 0o600) -> None:
        self.path.write_text(text)
        self.path.chmod(mode)

    def read(self) -> Settings:
        """As the program does; where its servers are is this test's."""
        assert self.base is not None
        kept = {name: getattr(self.base, name) for name in ("redis", "postgres", "data", "http")}
        return load(self.path, {}).model_copy(update=kept)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> File:
    made = File()
    made.path = tmp_path_factory.mktemp("settings") / "supervisor.toml"
    return made


@pytest.fixture(scope="module")
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, file: File
) -> Iterator[Served]:
    with shared(request, tmp_path_factory, read_settings=file.read) as served:
        file.base = served.daemon.settings
        yield served


@pytest.fixture
def served(daemon: Served, file: File) -> Iterator[Served]:
    """With no agents at the beginning, and none at the end."""
    file.write("")
    assert reload(daemon)["outcome"] == "done"
    yield daemon
    file.write("")
    assert reload(daemon)["outcome"] == "done"


def reload(served: Served) -> dict[str, Any]:
    reply = served.post("/runtime/settings/reload")
    assert reply.status == 202, reply.body
    found: dict[str, Any] = reply.json["reload"]
    return found


def agents(served: Served) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in served.get("/runtime/agents").json["agents"]}


def running(served: Served, *names: str) -> dict[str, int]:
    """Their process ids, once they have some."""
    served.wait_until(lambda: all(agents(served)[name]["pid"] for name in names))
    return {name: agents(served)[name]["pid"] for name in names}


def test_agents_come_go_and_change_while_others_are_not_touched(served: Served, file: File) -> None:
    file.write("".join(f"[agents.{name}]\n{SLEEPER}" for name in ("kept", "changed", "gone")))

    first = reload(served)
    before = running(served, "kept", "changed", "gone")
    file.write(
        f"[agents.new]\n{HOSTED}[agents.kept]\n{SLEEPER}"
        f'[agents.changed]\n{SLEEPER}env = {{ A = "1" }}\n'
    )
    second = reload(served)
    after = running(served, "kept", "changed")

    assert first["agents"]["started"] == ["kept", "changed", "gone"]
    assert first["changed"] == ["agents.changed", "agents.gone", "agents.kept"]
    assert second["agents"] == {
        "started": ["new"],
        "stopped": ["gone"],
        "restarted": ["changed"],
        "failed": {},
    }
    assert after["kept"] == before["kept"]
    assert after["changed"] != before["changed"]
    assert agents(served).keys() == {"kept", "changed", "new"}
    assert not Path(f"/proc/{before['gone']}").exists()
    assert (second["changed"], second["at_next_start"]) == (
        ["agents.changed", "agents.gone", "agents.new"],
        [],
    )


def test_a_broken_file_changes_nothing_and_is_said(served: Served, file: File) -> None:
    file.write(f"[agents.a]\n{SLEEPER}")
    reload(served)
    before = running(served, "a")
    file.write("[agents.a]\nnonsense = 1\n[agents.b]\nmode = 7\n")

    reply = served.post("/runtime/settings/reload")

    assert reply.status == 409
    assert "agents.a.nonsense" in reply.json["message"]
    assert running(served, "a") == before
    assert agents(served).keys() == {"a"}
    last = served.get("/runtime/settings").json["last_reload"]
    assert last["outcome"] == "refused"
    assert any("agents.b.mode" in problem for problem in last["problems"])


def test_a_warning_is_said_and_keeps_nothing_from_being_done(served: Served, file: File) -> None:
    secret = file.path.with_name("secret")
    secret.write_text("x" * 32)
    secret.chmod(0o644)
    file.write(f'[notify]\nsecret_file = "{secret}"\n[agents.a]\n{SLEEPER}')

    found = reload(served)

    assert (found["outcome"], found["problems"]) == ("done", [])
    assert found["agents"]["started"] == ["a"]
    [warning] = found["warnings"]
    assert "notify.secret_file" in warning
    assert served.get("/runtime/settings").json["last_reload"]["warnings"] == [warning]


def test_an_agent_that_an_operator_stopped_stays_stopped_until_it_is_taken_out(
    served: Served, file: File
) -> None:
    file.write(f"[agents.a]\n{SLEEPER}")
    reload(served)
    served.post("/runtime/agents/a/stop")
    file.write(f"[agents.a]\n{SLEEPER}shutdown_s = 3\n")
    reload(served)
    changed = agents(served)["a"]
    file.write("")
    reload(served)
    file.write(f"[agents.a]\n{SLEEPER}")
    reload(served)

    assert (changed["state"], changed["stopped_by_operator"]) == ("STOPPED", True)
    assert agents(served)["a"]["state"] == "RUNNING"


def test_one_that_is_taken_out_is_marked_in_the_registry(served: Served, file: File) -> None:
    file.write(f"[agents.a]\n{HOSTED}")
    reload(served)

    def row() -> dict[str, Any]:
        rows = served.get("/health/agents").json["agents"]
        return next((one for one in rows if one["id"] == "a"), {})

    served.wait_until(lambda: row().get("liveness") == "up")
    kind = row()["kind"]
    file.write("")
    reload(served)

    assert kind == "in_process"
    served.wait_until(lambda: (row()["kind"], row()["liveness"]) == ("removed", "down"))


def test_the_signal_does_the_same_and_the_audit_trail_has_it(served: Served, file: File) -> None:
    file.write(f"[agents.a]\n{SLEEPER}")

    served.daemon.reloads.signalled()

    assert agents(served)["a"]["state"] == "RUNNING"
    file.write("nonsense = 1\n")
    served.daemon.reloads.signalled()
    trail = served.daemon.stop.audit
    assert trail.settle(LIMIT_S)
    rows = served.get("/audit?action=settings.reload").json["audit"]
    assert [(row["actor"], row["outcome"]) for row in rows[:2]] == [
        ("SIGHUP", "refused"),
        ("SIGHUP", "done"),
    ]
    assert "nonsense" in rows[0]["detail"]
    assert "started: a" in rows[1]["detail"]


def test_reloads_wait_for_one_another(served: Served, file: File) -> None:
    file.write(f"[agents.a]\n{SLEEPER}")

    jobs = [gevent.spawn(served.daemon.reloads.now, "test") for _ in range(3)]
    gevent.joinall(jobs, timeout=LIMIT_S, raise_error=True)

    started = [job.value.agents.started for job in jobs]
    assert sorted(started) == [(), (), ("a",)]


def test_one_that_takes_long_is_answered_before_it_is_done(served: Served, file: File) -> None:
    file.write(
        "[agents.a]\nshutdown_s = 1\n"
        """command = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]\n"""
    )
    reload(served)
    running(served, "a")
    file.write("")

    found = served.daemon.reloads.run("test", wait_s=0.0)

    assert found is None
    served.wait_until(lambda: "a" not in agents(served))
    served.wait_until(lambda: served.daemon.reloads.last.agents.stopped == ("a",))


def test_what_an_agent_inside_the_daemon_logs_is_kept_until_it_is_taken_out(
    served: Served, file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talker_for_test.py").write_text(TALKER)
    monkeypatch.syspath_prepend(str(tmp_path))
    file.write('[agents.a]\nmode = "in_process"\nclass = "talker_for_test:Talker"\n')
    reload(served)

    def lines() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = served.get("/runtime/agents/a/logs").json["lines"]
        return found

    served.wait_until(lambda: len(lines()) == 1)
    served.post("/runtime/agents/a/restart")

    served.wait_until(lambda: len(lines()) == 2)
    shown = {key: value for key, value in lines()[0].items() if key != "at"}
    assert shown == {
        "stream": "log",
        "text": "it begins",
        "level": "warning",
        "fields": {"desk": "a"},
    }
    assert served.get("/runtime/agents/a/logs?before_crash=true").status == 409
    file.write("")
    reload(served)
    assert served.get("/runtime/agents/a/logs").status == 404
