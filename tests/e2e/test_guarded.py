"""The guard beside a whole daemon: what is left when the daemon is gone, stopped, or hangs."""

import json
import secrets
import signal
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
import redis
from orchestrator.killswitch.latch import (
    GUARD_NAME,
    GUARD_SLOT_BYTES,
    LATCH_NAME,
    SLOT_BYTES,
    Latch,
)
from orchestrator.killswitch.slots import SlotFile
from orchestrator.protocol.document import read_document
from orchestrator.protocol.timestamps import utc_now
from quiet_clock import quiet_s

pytestmark = [pytest.mark.subprocess, pytest.mark.slow, pytest.mark.timeout(300)]

AGENT = """
[redis]
url = "embedded"
[postgres]
url = "embedded"
[http]
port = 0
[guard]
on_silence = "stop"
[agents.family]
command = ["sh", "-c", "sleep {0} & setsid sleep {0} & exec sleep {0}"]
"""
STOPPING = """
[redis]
url = "embedded"
[postgres]
url = "embedded"
[http]
port = 0
[guard]
on_silence = "stop"
"""
HANGING_AGENT = """
[redis]
url = "embedded"
[postgres]
url = "embedded"
[http]
port = 0
[guard]
hang_exit_s = 2
[agents.hanging]
mode = "in_process"
class = "hanging_agent:Hanging"
"""
HANGING = """
import ctypes
from orchestrator.agents import Agent

class Hanging(Agent):
    agent_id = "hanging"
    group = "test"
    def on_start(self):
        self.call_every(5.0, lambda: ctypes.PyDLL(None).sleep(1000))  # keeps the GIL
"""


def until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, f"not within {limit_s:g} s"
        time.sleep(0.05)


def family_of(daemon: Any) -> list[psutil.Process]:
    found = psutil.Process(daemon.process.pid).children(recursive=True)
    servers = {process.pid for process in daemon.server_processes()}
    return [process for process in found if process.pid not in servers]


def sleepers(seconds: int) -> list[psutil.Process]:
    """The processes that sleep for just so long."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        alive = process.info["status"] != psutil.STATUS_ZOMBIE
        if alive and process.info["cmdline"] == ["sleep", str(seconds)]:
            found.append(process)
    return found


def test_a_killed_daemon_leaves_its_servers_and_nothing_else(new_daemon: Any) -> None:
    seconds = 10_000 + secrets.randbelow(1_000_000)  # by which they are known
    daemon = new_daemon(AGENT.format(seconds))
    daemon.start()
    until(lambda: len(sleepers(seconds)) == 3)
    servers = daemon.server_processes()
    others = [process for process in family_of(daemon) if process not in servers]

    daemon.kill()

    until(lambda: not sleepers(seconds), 5.0)
    until(lambda: not [p for p in others if p.is_running()], 10.0)  # the guard too
    assert {p.pid for p in servers} >= {p.pid for p in daemon.server_processes()}
    assert len(daemon.server_processes()) >= 2
    daemon.start()
    state = daemon.get("/risk/killswitch")
    assert (state["status"], state["triggered_by"]) == ("active", "guard")
    until(lambda: daemon.count("type = 'risk.killswitch'") == 1)
    status, _ = daemon.call(
        "POST", "/risk/killswitch/release", {"reason": "all well", "trip_id": state["trip_id"]}
    )
    assert status == 200
    daemon.stop()
    daemon.start()
    assert daemon.get("/risk/killswitch")["status"] == "inactive"


def test_a_stop_leaves_no_grandchild_either(new_daemon: Any) -> None:
    seconds = 10_000 + secrets.randbelow(1_000_000)
    daemon = new_daemon(AGENT.format(seconds))
    daemon.start()
    until(lambda: len(sleepers(seconds)) == 3)

    assert daemon.stop() == 0

    assert not sleepers(seconds)


def test_a_killed_guard_is_replaced_and_nothing_stops(daemon: Any) -> None:
    former = guard_of(daemon)

    former.kill()

    until(lambda: (found := guard_of(daemon)) and found.pid != former.pid, 5.0)
    assert daemon.get("/risk/killswitch")["status"] != "active"
    until(lambda: daemon.call("GET", "/ready")[0] == 200, 5.0)


def test_the_guard_holds_neither_the_data_directory_nor_the_port(daemon: Any) -> None:
    guard = guard_of(daemon)
    links = [str(path.readlink()) for path in Path(f"/proc/{guard.pid}/fd").iterdir()]

    assert not [link for link in links if link.startswith(str(daemon.data))]
    assert not [c for c in guard.net_connections() if c.status == psutil.CONN_LISTEN]


def guard_of(daemon: Any) -> Any:
    children = psutil.Process(daemon.process.pid).children()
    return next((child for child in children if "killswitch/guard" in command_of(child)), None)


def command_of(process: psutil.Process) -> str:
    """Its command line; nothing for one that has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_the_trip_file_engages_the_whole_daemon(daemon: Any) -> None:
    (daemon.data / "TRIP").write_text("by hand\n")

    until(lambda: daemon.get("/risk/killswitch")["status"] == "active", 5.0)
    assert daemon.get("/risk/killswitch")["reason"] == "by hand"


def test_a_file_with_an_id_engages_and_is_renamed_once_it_is_latched(daemon: Any) -> None:
    path = daemon.data / "TRIP.01M8JCDEET712FAJXJC5W3GV93"
    path.write_text('{"reason": "by orc halt", "scope": "group:execution"}')

    until(path.with_name(f"{path.name}.taken").exists, 10.0)
    [trip] = daemon.get("/risk/killswitch")["trips"]
    assert (trip["reason"], trip["scope"]) == ("by orc halt", "group:execution")
    time.sleep(2.0)
    assert len(daemon.get("/risk/killswitch")["trips"]) == 1, "the guard and the daemon agree"


def guards_trips(daemon: Any) -> list[Any]:
    """Those that the guard still keeps."""
    found = Latch(daemon.data).read_guard().documents
    return [trip for document in found for trip in read_document(document).stop.trips]


def test_a_stopped_daemon_is_halted_and_left_alive(new_daemon: Any) -> None:
    daemon = new_daemon(STOPPING)
    daemon.start()
    began = time.monotonic()
    daemon.process.send_signal(signal.SIGSTOP)
    until(lambda: guards_trips(daemon), 15.0)
    assert time.monotonic() - began > 5.0, "not before the supervisor had its turn"
    daemon.process.send_signal(signal.SIGCONT)

    until(lambda: daemon.get("/risk/killswitch")["status"] == "active", 5.0)
    time.sleep(2.0)
    assert len(daemon.get("/risk/killswitch")["trips"]) == 1
    until(lambda: not guards_trips(daemon), 5.0)


def test_a_frozen_daemon_wakes_without_a_permit_under_a_stop_in_the_stream(
    new_daemon: Any,
) -> None:
    daemon = new_daemon(STOPPING.replace('"stop"', '"hold"'))
    daemon.start()
    until(lambda: daemon.redis.exists("orchestrator:permit"), 10.0)
    daemon.process.send_signal(signal.SIGSTOP)
    until(lambda: not daemon.redis.exists("orchestrator:permit"), 5.0)
    stop = {"channel": "risk.killswitch", "payload": '{"enabled": true}'}
    daemon.redis.xadd("orchestrator:events", stop)

    daemon.process.send_signal(signal.SIGCONT)

    permits = 0
    while daemon.get("/risk/killswitch")["status"] != "active":
        permits += daemon.redis.exists("orchestrator:permit")
    assert permits == 0


class Watcher(threading.Thread):
    """Every command that a server executes, those of scripts included, until `end`."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(daemon=True)
        self.commands: list[str] = []
        self._client = client
        self._monitor = client.monitor()

    def run(self) -> None:
        while not self.commands or self.commands[-1] != "ECHO over":
            self.commands.append(str(self._monitor.next_command()["command"]))

    def __enter__(self) -> Self:
        self._monitor.__enter__()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.echo("over")
        self.join(timeout=20)
        self._monitor.connection.disconnect()

    @property
    def permits(self) -> int:
        return sum(one.startswith("SET orchestrator:permit") for one in self.commands)


def test_a_stop_in_the_row_is_found_before_a_frozen_daemon_issues_a_permit(new_daemon: Any) -> None:
    daemon = new_daemon(STOPPING.replace('"stop"', '"hold"'))
    daemon.start()
    until(lambda: daemon.redis.exists("orchestrator:permit"), 10.0)
    daemon.process.send_signal(signal.SIGSTOP)
    until(lambda: not daemon.redis.exists("orchestrator:permit"), 5.0)
    statement = "UPDATE orchestrator_state SET value = %s WHERE key = %s RETURNING 1"
    assert daemon.rows(statement, '{"enabled": true, "reason": "by SQL"}', "killswitch_status")

    with Watcher(daemon.redis) as watcher:
        daemon.process.send_signal(signal.SIGCONT)
        until(lambda: daemon.get("/risk/killswitch")["status"] == "active", 20.0)

    assert watcher.permits == 0
    with Watcher(daemon.redis) as watcher:
        [trip] = daemon.get("/risk/killswitch")["trips"]
        release = {"reason": "known", "trip_id": trip["trip_id"]}
        assert daemon.call("POST", "/risk/killswitch/release", release)[0] == 200
        until(lambda: watcher.permits, 20.0)


def test_under_hold_a_killed_daemon_comes_back_without_a_stop(new_daemon: Any) -> None:
    daemon = new_daemon(STOPPING.replace('"stop"', '"hold"'))
    daemon.start()

    daemon.kill()
    until(lambda: not daemon.redis.exists("orchestrator:permit"), 4.0)
    daemon.start()

    assert daemon.get("/risk/killswitch")["status"] == "inactive"
    until(lambda: daemon.redis.exists("orchestrator:permit"), 5.0)


def test_too_many_unclean_ends_stop_trading_before_a_permit(new_daemon: Any) -> None:
    daemon = new_daemon(STOPPING.replace('on_silence = "stop"', "unclean_ends = 2"))
    daemon.start()
    daemon.kill()
    daemon.start()
    assert daemon.get("/risk/killswitch")["status"] == "inactive"
    daemon.kill()
    until(lambda: not daemon.redis.exists("orchestrator:permit"), 4.0)

    daemon.start()

    state = daemon.get("/risk/killswitch")
    assert (state["status"], state["triggered_by"]) == ("active", "unclean")
    assert "2 times within 15 minutes" in state["reason"]
    assert not daemon.redis.exists("orchestrator:permit")


def test_an_agent_that_hangs_in_c_ends_the_daemon(new_daemon: Any) -> None:
    daemon = new_daemon(HANGING_AGENT)
    (daemon.folder / "hanging_agent.py").write_text(HANGING)
    daemon.start(PYTHONPATH=str(daemon.folder))

    code = daemon.process.wait(timeout=30)

    assert code != 0
    assert "hanging_agent.py" in daemon.log, "the stacks say where"
    daemon.settings.write_text(daemon.settings.read_text().split("[agents")[0])


def test_files_of_before_there_were_slots_are_read_once_at_an_upgrade(new_daemon: Any) -> None:
    daemon = new_daemon()
    daemon.data.mkdir(exist_ok=True)
    trip = {"trip_id": "01OLD", "reason": "old", "triggered_by": "anna", "at": utc_now()}
    latch = {"enabled": True, "trip_id": "01OLD", "trips": [trip], "revision": 3}
    guard = trip | {"trip_id": "01GUARD", "reason": "silence", "triggered_by": "guard"}
    for name, fields in ((LATCH_NAME, latch), (GUARD_NAME, guard)):
        body = json.dumps(fields).encode()
        (daemon.data / name).write_bytes(b"%08x\n" % zlib.crc32(body) + body)

    daemon.start()

    trips = daemon.get("/risk/killswitch")["trips"]
    assert sorted(known["reason"] for known in trips) == ["old", "silence"]
    for name, slot_bytes in ((LATCH_NAME, SLOT_BYTES), (GUARD_NAME, GUARD_SLOT_BYTES)):
        until(partial(is_new_form, SlotFile(daemon.data / name, slot_bytes)))
    for known in trips:
        order = {"reason": "all well", "trip_id": known["trip_id"]}
        assert daemon.call("POST", "/risk/killswitch/release", order)[0] == 200
    daemon.kill()
    daemon.start()
    assert daemon.get("/risk/killswitch")["status"] == "inactive"


def is_new_form(file: SlotFile) -> bool:
    slots = file.read()
    return bool(slots.bodies) and not slots.torn
