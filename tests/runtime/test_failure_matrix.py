"""Every way to fail, for every real actor: seen in time, one restart each, nobody else touched.

A whole daemon runs on real servers, with an agent of each kind. Its actors are the real ones; only
their `on_receive` also takes a `Fault`, and their hooks can be made to fail once.
"""

import dataclasses
import http.client
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import gevent
import psycopg
import pytest
from gevent.event import Event
from orchestrator.actors.agent_host.actor import AgentHost
from orchestrator.actors.broadcaster.actor import Broadcaster
from orchestrator.actors.event_persister.actor import EventPersister
from orchestrator.actors.events import NewEvent
from orchestrator.actors.heartbeat_monitor.actor import HeartbeatMonitor
from orchestrator.actors.messages.event_persister import GetPersisterStatus, PersistEvents
from orchestrator.actors.messages.heartbeat_monitor import GetAgents
from orchestrator.actors.messages.killswitch import GetKillswitch
from orchestrator.actors.messages.state_keeper import GetState
from orchestrator.actors.pruner import Pruner
from orchestrator.actors.redis_listener.actor import RedisListener
from orchestrator.actors.state_keeper.actor import StateKeeper
from orchestrator.daemon.tree import Daemon
from orchestrator.http.edge.listener import ListeningSocket
from orchestrator.http.server import HttpServer
from orchestrator.killswitch.keeper import Killswitch
from orchestrator.runtime import Actor, ActorFailed, Supervisor
from orchestrator.runtime.child import Child, ChildState
from orchestrator.runtime.datadir import DataDir
from orchestrator.runtime.processes.actor import ProcessActor
from orchestrator.runtime.telemetry.loop_watchdog import LoopWatchdog
from orchestrator.settings import Settings
from quiet_clock import quiet_s

pytestmark = [pytest.mark.db, pytest.mark.redis]

ACTORS: dict[str, type[Actor]] = {
    "persister": EventPersister,
    "killswitch": Killswitch,
    "state-keeper": StateKeeper,
    "heartbeat-monitor": HeartbeatMonitor,
    "broadcaster": Broadcaster,
    "redis-listener": RedisListener,
    "http": HttpServer,
    "pruner": Pruner,
    "hosted": AgentHost,
    "child-process": ProcessActor,
    "agents": Supervisor,
}
# Actor → a path, and what HTTP asks the actor for it.
QUESTIONS: dict[str, tuple[str, type]] = {
    "killswitch": ("/risk/killswitch", GetKillswitch),
    "state-keeper": ("/state", GetState),
    "heartbeat-monitor": ("/health/agents", GetAgents),
}
SEEN_S = 2.0
HANG_S = 5.0
# A restart's own work: a child process is ended, a connection is opened.
RECOVERY_S = 10.0


@dataclasses.dataclass
class Fault:
    """A message that makes the actor in hand do something."""

    act: Callable[[Actor], Any]


def raiser(error: BaseException) -> Callable[..., Any]:
    def raise_it(*_args: object) -> Any:
        raise error

    return raise_it


# -- faults of a running actor: each ends the run once ------------------------------------


def tell_fault(act: Callable[[Actor], Any]) -> Callable[["Rig"], None]:
    return lambda rig: rig.child.spec.address.tell(Fault(act))


def raise_by_ask(rig: "Rig") -> None:
    with pytest.raises(ActorFailed):
        rig.child.spec.address.ask(Fault(raiser(ValueError("asked"))), timeout_s=SEEN_S)


def kill_from_outside(rig: "Rig") -> None:
    rig.actor._greenlet.kill(block=False)


def kill_linked_from_outside(rig: "Rig") -> None:
    def spawn_and_kill(actor: Actor) -> None:
        linked = actor.spawn(gevent.sleep, 3600, name="victim")
        gevent.spawn_later(0.01, linked.kill, block=False)

    rig.child.spec.address.tell(Fault(spawn_and_kill))


def fill_then_raise(rig: "Rig") -> None:
    """Stall it, fill its mailbox, and let it fail: what waits is its successor's."""
    address = rig.child.spec.address

    def stall(_actor: Actor) -> None:
        gevent.sleep(0.2)
        raise ValueError("stalled")

    address.tell(Fault(stall), urgent=True)
    gevent.sleep(0.05)
    while len(address.mailbox._normal) < address.mailbox.capacity:
        assert address.offer(Fault(lambda _actor: None))


RUNNING_FAULTS: dict[str, Callable[["Rig"], None]] = {
    "handler by tell": tell_fault(raiser(ValueError("told"))),
    "handler by ask": raise_by_ask,
    "timer": tell_fault(lambda actor: actor.after(0.001, raiser(ValueError("timer")))),
    "linked greenlet": tell_fault(
        lambda actor: actor.spawn(raiser(ValueError("linked")), name="broken")
    ),
    "SystemExit in a linked greenlet": tell_fault(
        lambda actor: actor.spawn(raiser(SystemExit(3)), name="leaving")
    ),
    "two linked greenlets at once": tell_fault(
        lambda actor: [actor.spawn(raiser(ValueError(n)), name=n) for n in ("one", "two")]
    ),
    "linked greenlet killed": kill_linked_from_outside,
    "Timeout leaks": tell_fault(raiser(gevent.Timeout(0.1))),
    "GreenletExit leaks": tell_fault(raiser(gevent.GreenletExit("gone"))),
    "SystemExit leaks": tell_fault(raiser(SystemExit(3))),
    "killed from outside": kill_from_outside,
    "mailbox full": fill_then_raise,
}


# -- faults of a hook: the next run, or this one's end, fails once ------------------------


def fail_construction(rig: "Rig") -> None:
    rig.next_constructions.append(ValueError("__init__"))


def fail_start(rig: "Rig") -> None:
    rig.next_starts.append(ValueError("on_start"))


def leak_from_start(rig: "Rig") -> None:
    rig.next_starts.append(gevent.Timeout(0.1))


HOOK_FAULTS: dict[str, Callable[["Rig"], None]] = {
    "__init__": fail_construction,
    "on_start": fail_start,
    "Timeout leaks from on_start": leak_from_start,
}


class Rig:
    """One real actor of a running daemon, made breakable; the others are watched."""

    def __init__(self, root: Supervisor, name: str) -> None:
        self.root = root
        self.name = name
        self.child = children_of(root)[name]
        self.next_constructions: list[BaseException] = []
        self.next_starts: list[BaseException] = []
        self.slow_starts: list[Callable[[], object]] = []
        self._factory = self.child.spec.factory
        self._swap(self._make)
        self._arm(self.actor)
        self.restarts_before = self.child.restarts
        self._bystanders = self._others()

    @property
    def actor(self) -> Actor:
        assert self.child.actor is not None
        return self.child.actor

    def undo(self) -> None:
        self._swap(self._factory)

    def _swap(self, factory: Callable[[], Actor]) -> None:
        self.child.spec = dataclasses.replace(self.child.spec, factory=factory)

    def _make(self) -> Actor:
        if self.next_constructions:
            raise self.next_constructions.pop()
        actor = self._factory()
        if self.next_starts:
            actor.on_start = raiser(self.next_starts.pop())  # type: ignore[method-assign]
        if self.slow_starts:
            delay, own_start = self.slow_starts.pop(), actor.on_start

            def start_after() -> None:
                delay()
                own_start()

            actor.on_start = start_after  # type: ignore[method-assign]
        self._arm(actor)
        return actor

    def _arm(self, actor: Actor) -> None:
        own = type(actor).on_receive

        def receive(message: Any) -> Any:
            return message.act(actor) if isinstance(message, Fault) else own(actor, message)

        actor.on_receive = receive  # type: ignore[method-assign]

    def _others(self) -> dict[str, tuple[int, int]]:
        below = children_of(self.actor) if isinstance(self.actor, Supervisor) else {}
        return {
            name: (child.restarts, id(child.actor))
            for name, child in children_of(self.root).items()
            if name != self.name and name not in below and name not in ancestors(self)
        }

    def wait(self, condition: Callable[[], object], limit_s: float) -> None:
        end = quiet_s() + limit_s
        while not condition():
            assert quiet_s() < end, f"{self.child.describe()}"
            gevent.sleep(0.005)

    def assert_restarted(self, times: int, *, seen_s: float = SEEN_S) -> None:
        """Seen in time, restarted so often and not more, and nobody else was touched."""
        self.wait(lambda: self.child.restarts > self.restarts_before, seen_s)
        self.wait(
            lambda: (
                self.child.restarts >= self.restarts_before + times
                and self.child.state is ChildState.RUNNING
            ),
            RECOVERY_S,
        )
        assert self.child.spec.address.ask(Fault(lambda _actor: "well"), timeout_s=5) == "well"
        assert self.child.restarts == self.restarts_before + times
        assert self._others() == self._bystanders


def ancestors(rig: Rig) -> list[str]:
    return [
        name
        for name, child in children_of(rig.root).items()
        if isinstance(child.actor, Supervisor) and rig.name in children_of(child.actor)
    ]


def children_of(supervisor: Supervisor) -> dict[str, Child]:
    """All children below, by name."""
    found: dict[str, Child] = {}
    for child in supervisor._children.values():
        found[child.name] = child
        if isinstance(child.actor, Supervisor):
            found |= children_of(child.actor)
    return found


@pytest.fixture(autouse=True)
def nobody_left_behind() -> None:
    """Successors outlive the test that made them; the daemon's stop ends them all."""


@pytest.fixture(scope="module")
def daemon(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """A whole daemon on the session's servers, with an agent of each kind."""
    servers = [request.getfixturevalue(name) for name in ("redis_server", "postgres_server")]
    for server in servers:
        server.start()
    name = f"test_{secrets.token_hex(6)}"
    parts = urlsplit(servers[1].url())
    with psycopg.connect(parts.geturl(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    quotes = {"class": "orchestrator.agents.samples.dev:DevAgent"}
    given: dict[str, Any] = {
        "redis": {"url": servers[0].url()},
        "postgres": {"url": parts._replace(path=f"/{name}").geturl()},
        "http": {"port": 0, "rate_limit_max": 1_000_000},
        "data": {"dir": tmp_path_factory.mktemp("daemon") / "data"},
        "supervisor": {"intensity": 1000, "backoff_initial_s": 0.001, "backoff_max_s": 0.1},
        "retention": {"heartbeat": "1d"},
        "agents": {
            "hosted": quotes | {"mode": "in_process"},
            "child-process": quotes | {"mode": "process"},
        },
    }
    settings = Settings(**given)
    with ExitStack() as stack:
        data = stack.enter_context(DataDir.open(settings.data.dir))
        listening = ListeningSocket(settings.http)
        stack.callback(listening.close)
        made = Daemon(settings, data, listening)
        stack.enter_context(made.running())
        assert_persists(made)
        yield made
    with psycopg.connect(parts.geturl(), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def root(daemon: Daemon) -> Supervisor:
    assert daemon._root is not None
    return daemon._root


@pytest.fixture
def rig(root: Supervisor, name: str) -> Iterator[Rig]:
    every = children_of(root)
    with gevent.Timeout(RECOVERY_S, AssertionError("not all run before the test")):
        while any(child.state is not ChildState.RUNNING for child in every.values()):
            gevent.sleep(0.01)
            every = children_of(root)
    made = Rig(root, name)
    yield made
    made.undo()


@pytest.fixture
def working(daemon: Daemon) -> Iterator[None]:
    """After the test, as before, what is persisted is journalled and PostgreSQL gets it."""
    yield
    assert_persists(daemon)


def assert_persists(daemon: Daemon) -> None:
    address = daemon._to.persister
    stored = address.ask(PersistEvents((NewEvent("strategy.check", b"{}"),)), timeout_s=5)[0]

    def committed() -> bool:
        status = address.ask(GetPersisterStatus(), timeout_s=5)
        return bool(status.newest_id and status.committed_id >= (stored.id or status.newest_id))

    with gevent.Timeout(RECOVERY_S, AssertionError("not stored")):
        while not committed():
            gevent.sleep(0.01)


@pytest.mark.parametrize("name", ACTORS)
def test_the_tree_holds_every_real_actor(rig: Rig, name: str) -> None:
    assert type(rig.actor) is ACTORS[name]


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("fault", RUNNING_FAULTS)
@pytest.mark.parametrize("name", ACTORS)
def test_a_running_actor_that_fails_is_restarted_once_and_alone(rig: Rig, fault: str) -> None:
    RUNNING_FAULTS[fault](rig)

    rig.assert_restarted(1)


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("hook", HOOK_FAULTS)
@pytest.mark.parametrize("name", ACTORS)
def test_a_second_failure_in_the_restart_costs_one_more_restart(rig: Rig, hook: str) -> None:
    HOOK_FAULTS[hook](rig)

    RUNNING_FAULTS["handler by tell"](rig)

    rig.assert_restarted(2)


@pytest.mark.slow
@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("hook", HOOK_FAULTS)
@pytest.mark.parametrize("fault", RUNNING_FAULTS)
@pytest.mark.parametrize("name", ACTORS)
def test_each_failure_may_be_followed_by_one_in_its_recovery(
    rig: Rig, fault: str, hook: str
) -> None:
    HOOK_FAULTS[hook](rig)

    RUNNING_FAULTS[fault](rig)

    rig.assert_restarted(2)


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("error", [ValueError("on_stop"), gevent.Timeout(0.1)], ids=str)
@pytest.mark.parametrize("name", ACTORS)
def test_an_actor_that_fails_to_stop_is_started_again_all_the_same(
    rig: Rig, error: BaseException
) -> None:
    own = rig.actor.on_stop

    def stop_then_fail() -> None:
        own()
        raise error

    rig.actor.on_stop = stop_then_fail  # type: ignore[method-assign]

    rig.actor.stop()

    rig.assert_restarted(1)


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("name", ACTORS)
def test_an_actor_that_fails_while_it_cleans_up_is_restarted_once(rig: Rig) -> None:
    own = rig.actor.on_failure

    def fail_again(*exc_info: Any) -> None:
        own(*exc_info)
        raise ValueError("on_failure")

    rig.actor.on_failure = fail_again  # type: ignore[method-assign, assignment]

    RUNNING_FAULTS["handler by tell"](rig)

    rig.assert_restarted(1)


@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("name", ACTORS)
def test_an_actor_stopped_twice_is_restarted_once(rig: Rig) -> None:
    rig.actor.stop()
    rig.actor.stop()

    rig.assert_restarted(1)


@pytest.mark.slow
@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("name", ACTORS)
def test_an_actor_that_waits_for_ever_is_found_within_5_s(rig: Rig) -> None:
    rig.child.spec.address.tell(Fault(lambda _actor: gevent.sleep(3600)))

    rig.assert_restarted(1, seen_s=HANG_S + 1)


@pytest.mark.slow
@pytest.mark.usefixtures("working")
@pytest.mark.parametrize("name", ACTORS)
def test_a_busy_loop_ends_its_own_actor_only(rig: Rig) -> None:
    def compute(_actor: Actor) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            sum(range(100))

    watchdog = LoopWatchdog(log_after_s=0.1, raise_after_s=0.6)
    watchdog.start()
    try:
        rig.child.spec.address.tell(Fault(compute))
        rig.assert_restarted(1)
    finally:
        watchdog.stop()

    assert rig.child.last_error is not None
    assert "ActorHung" in rig.child.last_error


# -- those who ask meanwhile ----------------------------------------------------------------------


def http_get(daemon: Daemon, path: str) -> tuple[int, str | None]:
    """Status and Retry-After."""
    host, port = daemon._listening.address
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status, response.headers["Retry-After"]
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["killswitch"])
def test_http_says_503_while_an_actor_starts_and_then_the_same_address_works(
    rig: Rig, daemon: Daemon
) -> None:
    started = Event()
    rig.slow_starts.append(lambda: started.wait(10))
    RUNNING_FAULTS["handler by tell"](rig)
    rig.wait(lambda: rig.child.state is ChildState.STARTING, SEEN_S)

    status, retry_after = http_get(daemon, "/risk/killswitch")
    started.set()
    rig.wait(lambda: rig.child.state is ChildState.RUNNING, RECOVERY_S)

    assert (status, retry_after) == (503, "1")
    assert http_get(daemon, "/risk/killswitch")[0] == 200


@pytest.mark.parametrize("name", QUESTIONS)
def test_http_says_503_if_the_actor_fails_with_the_question_in_hand(
    rig: Rig, daemon: Daemon
) -> None:
    path, question = QUESTIONS[rig.name]
    receive, boom = rig.actor.on_receive, ValueError("in hand")

    def fail_on_question(message: Any) -> Any:
        if isinstance(message, question):  # others may come before it
            raise boom
        return receive(message)

    rig.actor.on_receive = fail_on_question  # type: ignore[method-assign]

    status, retry_after = http_get(daemon, path)
    rig.assert_restarted(1)

    assert (status, retry_after) == (503, "1")
    assert http_get(daemon, path)[0] == 200


@pytest.mark.parametrize("name", ["persister"])
def test_the_persister_and_the_monitor_never_wait_in_a_circle(rig: Rig, daemon: Daemon) -> None:
    """Each batch of heartbeats makes the monitor persist events, and each of those comes back."""
    persister, monitor = daemon._to.persister, daemon._to.monitor
    monitor.mailbox.capacity = persister.mailbox.capacity = 4
    sent = 300
    before = persister.ask(GetPersisterStatus(), timeout_s=5).journalled_total

    try:
        for number in range(sent):
            beats = tuple(
                NewEvent(
                    "heartbeat",
                    b'{"agent_id":"circle-%d","status":"%s","group":"g"}'
                    % (agent, b"error" if number % 2 else b"running"),
                )
                for agent in range(10)
            )
            persister.tell(PersistEvents(beats), timeout_s=10)
        with gevent.Timeout(30, AssertionError("they wait for each other")):
            while (
                persister.ask(GetPersisterStatus(), timeout_s=5).journalled_total
                < before + sent * 10
            ):
                gevent.sleep(0.01)
            monitor.ask(GetAgents(), timeout_s=5)
    finally:
        monitor.mailbox.capacity, persister.mailbox.capacity = 1_000, 64

    assert rig.child.restarts == rig.restarts_before
    assert rig._others() == rig._bystanders
