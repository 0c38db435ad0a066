from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import gevent
import pytest
from gevent.event import Event as Signal
from orchestrator.http.api.readiness import Probe, guard_check, not_running, run_all
from orchestrator.http.api.schemas import Check
from orchestrator.killswitch.guard.link import GuardStatus
from orchestrator.runtime import AskTimeout, OrchestratorError
from quiet_clock import quiet_s

from ..conftest import Serve

GOOD = Check(ok=True, message="ok")


@pytest.fixture(scope="module")
def never() -> Iterator[Signal]:
    """What nobody ever sets."""
    signal = Signal()
    yield signal
    signal.set()


def test_a_part_that_does_not_answer_is_unknown_and_the_others_are_known(never: Signal) -> None:
    def hangs() -> Check:
        never.wait()
        return GOOD

    checks = run_all({"one": Probe("one", lambda: GOOD), "two": Probe("two", hangs, limit_s=0.05)})

    assert checks["one"] == GOOD
    assert checks["two"] == Check(ok=False, message="unknown: no answer within 0.05 s")


def test_even_a_check_that_cannot_be_ended_is_waited_for_no_longer(never: Signal) -> None:
    def deaf() -> Check:
        while not never.is_set():
            with suppress(OrchestratorError):  # it does not let itself be ended
                never.wait()
        return GOOD

    checks = run_all({"deaf": Probe("deaf", deaf, limit_s=0.01)}, limit_s=0.05)

    assert not checks["deaf"].ok


def test_what_a_part_says_of_itself_is_its_message() -> None:
    def refuses() -> Check:
        raise AskTimeout("persister", 1.0)

    assert "persister" in run_all({"journal": Probe("journal", refuses)})["journal"].message


def test_many_who_ask_at_once_are_one_check() -> None:
    asked = []

    def slow() -> Check:
        asked.append(1)
        gevent.sleep(0.05)
        return GOOD

    probes = {"postgres": Probe("postgres", slow)}
    callers = [gevent.spawn(run_all, probes) for _ in range(50)]
    gevent.joinall(callers)

    assert [caller.value for caller in callers] == [{"postgres": GOOD}] * 50
    assert len(asked) == 1
    run_all(probes)
    assert len(asked) == 2


@pytest.mark.parametrize("parts", [("postgres",), ("redis",), ("postgres", "redis")])
def test_frozen_servers_are_named_in_time_and_none_is_called_good(
    serve: Serve, postgres_server: Any, redis_server: Any, parts: tuple[str, ...]
) -> None:
    served = serve()
    served.wait_until(lambda: served.get("/ready").json["checks"]["guard"]["ok"])
    servers = {"postgres": postgres_server, "redis": redis_server}

    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(servers[part].frozen())

        def all_bad() -> bool:
            began = quiet_s()
            reply = served.get("/ready")
            assert quiet_s() - began < 2.5
            checks = reply.json["checks"]
            bad = {part for part in servers if not checks[part]["ok"]}
            assert bad <= set(parts)
            assert (reply.status == 200) == all(check["ok"] for check in checks.values())
            return bad == set(parts)

        if "postgres" in parts:  # from the first call on: what was answered before does not count
            message = served.get("/ready").json["checks"]["postgres"]["message"]
            assert message == "unknown: no answer within 1.8 s"
        served.wait_until(all_bad)
        assert served.get("/health").status == 200

    served.wait_ready()


def test_a_flood_of_calls_leaves_connections_for_others_while_the_database_is_frozen(
    serve: Serve, postgres_server: Any
) -> None:
    served = serve()
    pool = served.daemon._database.pool
    before = pool.get_stats()["requests_num"]

    with postgres_server.frozen():
        callers = [gevent.spawn(served.get, "/ready") for _ in range(40)]
        gevent.joinall(callers)

    assert [caller.value.status for caller in callers] == [503] * 40
    assert pool.get_stats()["requests_num"] - before < 20  # others read as well
    served.wait_ready()


def test_troubles_below_the_agents_supervisor_do_not_count() -> None:
    def node(name: str, state: str, *children: Any) -> Any:
        return {"name": name, "state": state, "children": children}

    tree = [
        node("persister", "BACKOFF"),
        node("http", "RUNNING"),
        node("agents", "RUNNING", node("dev-1", "FATAL")),
        node("others", "RUNNING", node("below", "STOPPED")),
    ]

    assert not_running(tree, but_below="agents") == ["persister", "below"]


@pytest.mark.parametrize(
    ("status", "ok", "message"),
    [
        (GuardStatus(), False, "no guard runs"),
        (GuardStatus(pid=7), False, "the guard is starting"),
        (GuardStatus(pid=7, ready=True), True, "ready"),
        (GuardStatus(pid=7, ready=True, replaced=2), True, "ready, replaced 2 times"),
        (GuardStatus(pid=7, ready=True, disk="full"), False, "disk: full"),
        (GuardStatus(pid=7, ready=True, bus="refused"), False, "Redis: refused"),
        (GuardStatus(pid=7, ready=True, ignored="TRIP is a pipe"), True, "ready; TRIP is a pipe"),
    ],
)
def test_the_check_of_the_guard_follows_its_status(
    status: GuardStatus, ok: bool, message: str
) -> None:
    check = guard_check(status)

    assert (check.ok, check.message) == (ok, message)
