"""A child process as an actor: what comes of its ends, and that nothing is left of it."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest
import structlog
from orchestrator.killswitch.guard.link import GuardLink
from orchestrator.killswitch.guard.settings import GuardSettings
from orchestrator.runtime import (
    ActorFailed,
    Address,
    ChildSpec,
    ChildState,
    ExitKind,
    GetTree,
    Restart,
    RestartLimits,
    Supervisor,
    start_actor,
    stop_actor,
)
from orchestrator.runtime.processes.actor import (
    GetOutput,
    GetProcess,
    ProcessActor,
    ProcessCommand,
    ProcessEnded,
    ProcessNotStarted,
    ProcessStatus,
    ProcessTooBig,
)
from orchestrator.runtime.processes.record import ProcessRecord
from quiet_clock import quiet_s

pytestmark = pytest.mark.subprocess

SLEEP = "import time; time.sleep(60)"
DEAF = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    time.sleep(60)
"""
PARENT = f"""
    import subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
    print(child.pid, flush=True)
    time.sleep(60)
"""


def command(program: str, **options: Any) -> ProcessCommand:
    arguments = (sys.executable, "-c", textwrap.dedent(program))
    return ProcessCommand(arguments, dict(os.environ), **options)


def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, "not in time"
        gevent.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Runner:
    """Starts process actors and ends those that still live."""

    def __init__(self) -> None:
        self.actors: list[ProcessActor] = []

    def start(self, run: ProcessCommand, record: ProcessRecord | None = None) -> ProcessActor:
        actor = ProcessActor(run, record)
        start_actor(actor, Address("quotes"))
        self.actors.append(actor)
        return actor

    def pid(self, actor: ProcessActor) -> int:
        until(lambda: self.status(actor).pid)
        return self.status(actor).pid or 0

    def status(self, actor: ProcessActor) -> ProcessStatus:
        status: ProcessStatus = actor.address.ask(GetProcess(), timeout_s=5)
        return status

    def lines(self, actor: ProcessActor, count: int = 1) -> list[str]:
        def texts() -> list[str]:
            return [line.text for line in actor._record.output.last()]

        until(lambda: len(texts()) >= count)
        return texts()


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    for actor in made.actors:
        stop_actor(actor)


def test_a_process_runs_and_after_a_while_counts_as_running(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.runtime.processes.actor.UP_AFTER_S", 0.1)
    actor = runner.start(command(SLEEP))

    pid = runner.pid(actor)

    assert runner.status(actor).state is ChildState.STARTING
    until(lambda: runner.status(actor).state is ChildState.RUNNING)
    assert runner.status(actor).uptime_s > 0
    assert os.getsid(pid) == pid, "Ctrl-C must not reach it"


def test_a_process_that_is_started_slowly_counts_as_running_too(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "orchestrator.runtime.processes.actor.UP_AFTER_S", 0.0
    )  # looked at before it runs
    actor = runner.start(command(SLEEP))

    until(lambda: runner.status(actor).state is ChildState.RUNNING)


def test_what_it_prints_is_kept_and_logged_under_its_name(runner: Runner) -> None:
    with structlog.testing.capture_logs() as logs:
        actor = runner.start(
            command(
                """
                import sys, time
                print("hello", flush=True)
                print("09:30 ERROR broke", file=sys.stderr, flush=True)
                time.sleep(60)
                """
            )
        )
        assert sorted(runner.lines(actor, 2)) == ["09:30 ERROR broke", "hello"]

    lines = {log["line"]: log for log in logs if log["event"] == "output"}
    assert (lines["hello"]["agent"], lines["hello"]["stream"]) == ("quotes", "stdout")
    assert lines["hello"]["log_level"] == "info"
    assert lines["09:30 ERROR broke"]["log_level"] == "error"
    assert lines["09:30 ERROR broke"]["stream"] == "stderr"


def test_the_last_lines_can_be_asked_for(runner: Runner) -> None:
    actor = runner.start(command("for i in range(300): print(i)\n" + SLEEP + "\n"))
    until(lambda: actor._record.output.total == 300 or actor.ended)

    if not actor.ended:
        lines = actor.address.ask(GetOutput(limit=2), timeout_s=5)
        assert [line.text for line in lines] == ["298", "299"]


def test_a_stop_asks_first_and_waits(runner: Runner) -> None:
    actor = runner.start(
        command(
            """
            import signal, sys, time
            def leave(number, frame):
                print("bye", flush=True)
                sys.exit(0)
            signal.signal(signal.SIGTERM, leave)
            print("ready", flush=True)
            time.sleep(60)
            """
        )
    )
    pid = runner.pid(actor)
    runner.lines(actor)

    stop_actor(actor)

    assert actor.exit_kind is ExitKind.NORMAL
    assert gone(pid)
    assert actor._state is ChildState.STOPPED
    assert [line.text for line in actor._record.output.last()] == ["ready", "bye"]


def test_a_process_that_does_not_listen_is_killed(runner: Runner) -> None:
    actor = runner.start(command(DEAF, stop_timeout_s=0.2))
    pid = runner.pid(actor)
    runner.lines(actor)

    began = quiet_s()
    stop_actor(actor)

    assert gone(pid)
    assert quiet_s() - began < 2


def test_its_own_children_end_with_it(runner: Runner) -> None:
    actor = runner.start(command(PARENT))
    child_pid = int(runner.lines(actor)[0])

    stop_actor(actor)

    until(lambda: gone(child_pid))


def test_children_that_it_left_behind_are_ended(runner: Runner) -> None:
    actor = runner.start(command(PARENT.replace("time.sleep(60)\n", "sys.exit(3)\n", 1)))
    child_pid = int(runner.lines(actor)[0])

    until(lambda: actor.ended)

    until(lambda: gone(child_pid))


def test_an_exit_with_a_code_is_the_actors_failure(runner: Runner) -> None:
    actor = runner.start(command("import sys; sys.exit('no licence')"))

    until(lambda: actor.ended)

    assert actor.exit_kind is ExitKind.FAILURE
    error = actor.exit_error
    assert isinstance(error, ProcessEnded)
    assert (error.exit_code, error.exit_signal) == (1, None)
    assert str(error) == "process quotes exited with code 1: no licence"


def test_an_end_by_a_signal_is_named(runner: Runner) -> None:
    actor = runner.start(command(SLEEP))
    os.kill(runner.pid(actor), signal.SIGSEGV)

    until(lambda: actor.ended)

    assert "process quotes was ended by SIGSEGV" in str(actor.exit_error)


def test_an_exit_with_code_zero_is_a_normal_end(runner: Runner) -> None:
    actor = runner.start(command("print('done')"))

    until(lambda: actor.ended)

    assert actor.exit_kind is ExitKind.NORMAL
    assert [line.text for line in actor._record.output.last()] == ["done"]


def test_a_program_that_is_not_there_fails_the_actor(runner: Runner) -> None:
    actor = runner.start(ProcessCommand(("/no/such/program",), {}))

    until(lambda: actor.ended)

    expected = "exited with code 127: cannot run /no/such/program: No such file or directory"
    assert expected in str(actor.exit_error)


def test_a_folder_that_is_not_there_fails_the_actor(runner: Runner) -> None:
    actor = runner.start(command(SLEEP, folder="/no/such/folder"))

    until(lambda: actor.ended)

    error = actor.exit_error
    assert isinstance(error, ProcessNotStarted)
    assert "/no/such/folder" in str(error)


def test_the_environment_is_the_one_given_and_nothing_else(runner: Runner) -> None:
    program = "import os; print(sorted(k for k in os.environ if not k.startswith('LC_')))"
    run = ProcessCommand((sys.executable, "-c", program), {"REDIS_URL": "redis://x"})

    actor = runner.start(run)

    assert runner.lines(actor) == ["['REDIS_URL']"]


def test_an_actor_that_is_killed_leaves_no_process(runner: Runner) -> None:
    actor = runner.start(command(DEAF))
    pid = runner.pid(actor)
    runner.lines(actor)

    actor.kill(ActorFailed("quotes", "test"))

    until(lambda: actor.ended)
    assert gone(pid)


def test_a_stop_in_the_middle_of_the_start_leaves_no_process(runner: Runner) -> None:
    actor = runner.start(command(SLEEP))

    stop_actor(actor)

    ours = psutil.Process().children()
    assert not [child for child in ours if SLEEP in " ".join(child.cmdline())]


def test_a_kill_in_the_middle_of_the_stop_leaves_no_process(runner: Runner) -> None:
    actor = runner.start(command(DEAF, stop_timeout_s=30.0))
    pid = runner.pid(actor)
    runner.lines(actor)
    actor.stop()
    until(lambda: actor._state is ChildState.STOPPING)

    actor.kill(ActorFailed("quotes", "out of patience"))

    until(lambda: actor.ended)
    assert gone(pid)


def test_a_flood_of_output_stops_nobody(runner: Runner) -> None:
    actor = runner.start(command("while True: print('x' * 1000)"))
    until(lambda: actor._record.output.unlogged > 10_000)

    began = quiet_s()
    runner.status(actor)

    assert quiet_s() - began < 1
    assert len(actor._record.output.last()) == 200


def test_the_output_outlives_a_restart() -> None:
    record = ProcessRecord()
    address = Address("quotes")
    spec = ChildSpec(
        address,
        lambda: ProcessActor(
            command("import sys; print('I die', flush=True); sys.exit(3)"), record
        ),
        restart=Restart.PERMANENT,
        kind="process",
    )
    limits = RestartLimits(intensity=2, backoff_initial_s=0.01, backoff_max_s=0.02)
    supervisor, root = Supervisor([spec], limits=limits, escalate=False), Address("agents")
    start_actor(supervisor, root)

    def row() -> dict[str, Any]:
        return dict(root.ask(GetTree(), timeout_s=5)[0])

    until(lambda: row()["state"] == "FATAL")
    assert "exited with code 3" in row()["last_error"]
    assert [line.text for line in record.output.last()] == ["I die"] * 3
    assert record.exit is not None
    assert (record.exit.code, record.exit.signal) == (3, None)
    assert [line.text for line in record.exit.last_lines] == ["I die"] * 3
    assert record.pid is None
    stop_actor(supervisor)


def test_what_it_uses_is_measured_with_its_children(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.runtime.processes.actor.SAMPLE_S", 0.2)
    busy = "import sys; print('x', flush=True)\nwhile True: pass\n"
    program = f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", {busy!r}])
        time.sleep(60)
    """

    actor = runner.start(command(program))

    until(lambda: runner.status(actor).usage.processes == 2)
    until(lambda: runner.status(actor).usage.cpu_percent > 20)
    assert runner.status(actor).usage.memory_bytes > 2 * 2**20


def test_one_that_uses_too_much_memory_is_asked_to_stop_and_fails(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.runtime.processes.actor.SAMPLE_S", 0.1)
    program = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(0)))
        kept = bytearray(80 * 2**20)
        time.sleep(60)
    """

    actor = runner.start(command(program, max_memory_bytes=60 * 2**20))
    until(lambda: actor.ended)

    assert isinstance(actor.exit_error, ProcessTooBig)
    assert "more than its 60" in str(actor.exit_error)
    assert [line.text for line in actor._record.output.last()] == ["saved"]


def new_link(folder: Path) -> GuardLink:
    return GuardLink(
        redis_url="redis://x", folder=folder, settings=GuardSettings(), on_trip=lambda _: None
    )


def test_the_guard_knows_its_group_as_long_as_it_runs(runner: Runner, tmp_path: Path) -> None:
    link = new_link(tmp_path)
    actor = ProcessActor(
        command("import os, time; print(os.environ, flush=True); time.sleep(60)"), None, link
    )
    start_actor(actor, Address("quotes"))
    runner.actors.append(actor)

    pid = runner.pid(actor)

    assert link.groups == {pid}
    assert link.orders.mark.partition("=")[2] in runner.lines(actor)[0]
    stop_actor(actor)
    assert link.groups == set()


CYCLES = int(os.environ.get("TEST_PROCESS_CYCLES", "50"))


@pytest.mark.timeout(60 + CYCLES)
def test_starts_and_stops_leak_nothing(runner: Runner, tmp_path: Path) -> None:
    """A thousand in the long run: ``TEST_PROCESS_CYCLES=1000``."""
    ours = psutil.Process()
    record, link = ProcessRecord(), new_link(tmp_path)

    def cycle() -> None:
        actor = ProcessActor(
            command("print('x', flush=True); import time; time.sleep(60)"), record, link
        )
        start_actor(actor, Address("quotes"))
        until(lambda: runner.status(actor).pid)
        stop_actor(actor)

    def used() -> tuple[int, int, int]:
        gc.collect()
        greenlets = sum(issubclass(type(one), gevent.Greenlet) for one in gc.get_objects())
        return ours.num_fds(), len(ours.children(recursive=True)), greenlets

    for _ in range(3):
        cycle()
    before, memory = used(), ours.memory_info().rss
    for _ in range(CYCLES):
        cycle()

    assert used() == before
    assert ours.memory_info().rss - memory < 8 * 2**20
    assert link.groups == set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent")
def test_when_we_are_killed_the_process_is_killed_too(tmp_path: Path) -> None:
    daemon = tmp_path / "daemon.py"
    daemon.write_text(
        textwrap.dedent(
            f"""
            from gevent import monkey
            monkey.patch_all()
            import os, sys, gevent
            from orchestrator.runtime import Address, start_actor
            from orchestrator.runtime.processes.actor import (
                GetProcess, ProcessActor, ProcessCommand
            )
            run = ProcessCommand((sys.executable, "-c", {SLEEP!r}), dict(os.environ))
            address = start_actor(ProcessActor(run), Address("x"))
            while (pid := address.ask(GetProcess(), timeout_s=5).pid) is None:
                gevent.sleep(0.01)
            print(pid, flush=True)
            gevent.sleep(60)
            """
        )
    )
    process = subprocess.Popen([sys.executable, str(daemon)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = (line for line in process.stdout if line.strip().isdigit())
    pid = int(next(lines))
    until(lambda: SLEEP in psutil.Process(pid).cmdline())

    process.kill()
    process.wait(10)
    process.stdout.close()

    until(lambda: gone(pid))
