from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
import msgspec
import pytest
import redis
from gevent.event import Event as Signal
from orchestrator.actors.messages.redis_listener import (
    BusStatus,
    DurableStreamStatus,
    SubscriptionStatus,
)
from orchestrator.http.api.readiness import Probe, bus_check, guard_check, not_running, run_all
from orchestrator.http.api.schemas import Check
from orchestrator.killswitch.guard.link import GuardStatus
from orchestrator.runtime import AskTimeout, OrchestratorError
from quiet_clock import quiet_s
from valkeys import cluster_node, valkey

from ..conftest import Serve, Served

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
            assert "no answer within" in message
        served.wait_until(all_bad)
        assert served.get("/health").status == 200

    served.wait_ready()


def test_pages_are_answered_within_their_limit_and_a_second_while_the_database_is_frozen(
    serve: Serve, postgres_server: Any, pg_url: str
) -> None:
    limit_s = 2.0
    served = serve(postgres={"url": pg_url, "statement_timeout_ms": int(limit_s * 1_000)})
    paths = ("/bus/types", "/bus/histogram", "/bus/events?type=no.such*", "/bus/events/1")

    with postgres_server.frozen():
        for path in paths:
            began = quiet_s()
            reply = served.get(path)
            assert quiet_s() - began < limit_s + 1.0
            assert reply.status == 200 or int(reply.headers["Retry-After"]) > 0

    served.wait_until(lambda: all(served.get(path).status in {200, 404} for path in paths))


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


# -- Redis that is not what it seems ---------------------------------------------------------------


def redis_check(served: Served) -> dict[str, Any]:
    reply = served.get("/ready")
    check: dict[str, Any] = reply.json["checks"]["redis"]
    assert reply.status == 503 or check["ok"]
    return check


def is_named(served: Served, *words: str) -> None:
    """Redis becomes not ready, for a reason with these words in it."""
    served.wait_until(
        lambda: all(word in redis_check(served)["message"] for word in words), limit_s=60
    )
    assert not redis_check(served)["ok"]


def test_a_replica_is_not_ready_and_a_stop_there_says_whom_it_reached(
    serve: Serve, tmp_path: Path, redis_url: str
) -> None:
    address = urlsplit(redis_url)
    options = ("--replicaof", str(address.hostname), str(address.port))
    with valkey(tmp_path / "replica", *options) as url:
        served = serve(redis={"url": url}, ready=False)

        is_named(served, f"a replica of {address.hostname}:{address.port}", "reaches no agent")

        stop = served.post("/risk/killswitch", {"reason": "nobody hears it"}).json
        assert (stop["latched"], stop["published_to"]) == (True, 0)
        assert "No agent is notified yet" in stop["message"]
        assert "the server is no master" in stop["message"]

        with redis.Redis.from_url(url) as admin:
            admin.replicaof("NO", "ONE")
            served.wait_until(lambda: redis_check(served)["ok"])


def test_a_master_that_becomes_a_replica_is_noticed_and_its_return_too(
    serve: Serve, tmp_path: Path, redis_url: str
) -> None:
    address = urlsplit(redis_url)
    with valkey(tmp_path / "master") as url, redis.Redis.from_url(url) as admin:
        served = serve(redis={"url": url})
        assert redis_check(served)["ok"]

        admin.replicaof(str(address.hostname), str(address.port))
        is_named(served, "a replica of")

        admin.replicaof("NO", "ONE")
        served.wait_until(lambda: redis_check(served)["ok"])
        served.wait_until(
            lambda: any(
                event["payload"]["cause"] == "subscription"
                for event in served.get("/bus/events?type=bus.gap").json["events"]
            )
        )


def test_a_sentinel_is_not_ready(serve: Serve, tmp_path: Path) -> None:
    with valkey(tmp_path / "sentinel", "--sentinel") as url:
        served = serve(redis={"url": url}, ready=False)

        is_named(served, "a Sentinel", "name its master")


def test_a_node_without_the_stream_is_not_ready_and_names_its_owner(
    serve: Serve, tmp_path: Path
) -> None:
    with (
        cluster_node(tmp_path / "node") as url,
        cluster_node(tmp_path / "owner") as owner_url,
        redis.Redis.from_url(url) as admin,
        redis.Redis.from_url(owner_url) as owner,
    ):
        slot = int(admin.execute_command("CLUSTER KEYSLOT", "orchestrator:events"))
        admin.execute_command("CLUSTER ADDSLOTSRANGE", 0, slot - 1)
        admin.execute_command("CONFIG SET cluster-require-full-coverage no")
        served = serve(redis={"url": url}, ready=False)

        is_named(served, "durable stream not read", "Hash slot not served")

        owner.execute_command("CLUSTER ADDSLOTSRANGE", slot, 16383)
        place = urlsplit(owner_url)
        bus_port = owner.config_get("cluster-port")["cluster-port"]
        admin.execute_command("CLUSTER MEET", str(place.hostname), place.port, bus_port)
        is_named(served, "durable stream not read", f"MOVED {slot} {place.hostname}:{place.port}")


def test_a_stop_that_nobody_hears_says_so(serve: Serve) -> None:
    served = serve()

    stop = served.post("/risk/killswitch", {"reason": "is anybody there?"}).json

    assert stop["published_to"] == 0
    assert "No agent is subscribed on Redis." in stop["message"]


SUBSCRIBED = SubscriptionStatus(
    name="control",
    patterns=("risk.*",),
    connected=True,
    since="2026-01-31T09:30:00.000Z",
    received=1,
    connects=1,
    cuts=0,
    last_error=None,
    latency_ms=0.5,
    not_master=None,
    canary_age_s=1.0,
    canary_refused=None,
    expects_canary=True,
)
READ = DurableStreamStatus(
    reading=True,
    position=None,
    committed=None,
    entries=0,
    gaps=0,
    trimmed=0,
    last_error="MOVED 1 10.0.0.1:6379",
    read_age_s=5.0,
)
GOOD_BUS = BusStatus(
    connected=True,
    since=SUBSCRIBED.since,
    subscriptions=(SUBSCRIBED,),
    attempts=1,
    last_error=None,
    latency_ms=0.5,
    published=0,
    publish_failures=0,
    not_master=None,
    stream=READ,
)


def test_a_bus_of_which_all_is_known_is_good() -> None:
    assert bus_check(GOOD_BUS) == Check(
        ok=True, message=f"subscribed since {SUBSCRIBED.since}", latency_ms=0.5
    )


@pytest.mark.parametrize(
    ("bus", "subscription", "stream", "message"),
    [
        ({"connected": False, "last_error": "refused"}, {}, {}, "not subscribed: refused"),
        ({"connected": False}, {}, {}, "not subscribed: not connected yet"),
        ({"not_master": "a replica"}, {"not_master": "a replica"}, {}, "a replica"),
        ({}, {"not_master": "a replica"}, {}, "a replica"),
        ({}, {}, {"read_age_s": 5.1}, "durable stream not read for 5 s: MOVED 1 10.0.0.1:6379"),
        ({}, {}, {"read_age_s": None, "last_error": None}, "durable stream not read yet"),
        (
            {},
            {},
            {"read_age_s": None, "last_error": None, "reading": False},
            "durable stream not read yet: where to read on is not known yet",
        ),
        ({}, {"canary_age_s": None}, {}, "control: canary not seen yet"),
        (
            {},
            {"canary_age_s": None, "canary_refused": "NOPERM", "expects_canary": False},
            {},
            "control: canaries are refused (NOPERM): ACL SETUSER <account> &orchestrator.canary.*",
        ),
        (
            {"not_master": "a replica"},
            {"canary_age_s": 9.0},
            {},
            "a replica; control: canary not seen for 9 s",
        ),
    ],
)
def test_what_is_missing_is_said(
    bus: dict[str, Any], subscription: dict[str, Any], stream: dict[str, Any], message: str
) -> None:
    replace = msgspec.structs.replace
    status = replace(
        GOOD_BUS,
        subscriptions=(replace(SUBSCRIBED, **subscription),),
        stream=replace(READ, **stream),
        **bus,
    )

    check = bus_check(status)

    assert (check.ok, check.message) == (False, message)


def test_a_connection_without_a_canary_is_not_waited_for() -> None:
    without = msgspec.structs.replace(SUBSCRIBED, canary_age_s=None, expects_canary=False)

    assert bus_check(msgspec.structs.replace(GOOD_BUS, subscriptions=(without,))).ok


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
