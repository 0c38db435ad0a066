import asyncio
import threading
from typing import Any

import pytest
from orchestrator.agents import Agent, BadAgent, Halt, Halted, acts, deadman, every, on_event
from orchestrator.agents.gate import RETRY_S, AgentGate
from orchestrator.agents.killswitch import read_message
from orchestrator.agents.routing import marked_events, marked_timers
from orchestrator.agents.surroundings import REAL, within
from orchestrator.protocol.gate import Resume, Shut
from orchestrator.protocol.permit import Permit, write_permit
from orchestrator.protocol.targets import Level, Permission, Target

STOP = read_message(b'{"enabled": true, "reason": "loss", "trip_id": "T1"}')


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def gate_of(clock: Clock, resume: Resume = Resume.ON_PERMIT, **options: Any) -> AgentGate:
    return AgentGate("a-1", "execution", resume, now=clock, **options)


def permit(generation: int = 7, **fields: Any) -> bytes:
    issued_at = fields.pop("issued_at", "2026-01-31T09:30:00.000Z")
    return write_permit(Permit(generation, "i", issued_at, **fields))


def opened(clock: Clock, value: bytes | None = None, **options: Any) -> AgentGate:
    gate = gate_of(clock, **options)
    gate.read(value or permit(), pttl_ms=3000, sent_at_s=clock.now_s)
    return gate


def why_not(gate: AgentGate, channel: str = "strategy.order") -> str:
    with pytest.raises(Halted) as caught:
        gate.require(channel)
    return caught.value.why


def test_it_starts_shut(clock: Clock) -> None:
    gate = gate_of(clock)

    assert gate.permission is Permission.HALT
    assert why_not(gate) == "no valid permit"
    assert gate.take_halts() == [Halt(Shut.NO_PERMIT)]


def test_a_permit_opens_it_for_as_long_as_it_is_valid(clock: Clock) -> None:
    gate = opened(clock, permit(ttl_ms=2000))

    clock.now_s += 1.999
    gate.require("strategy.order")
    clock.now_s += 0.001

    assert why_not(gate) == "no valid permit"


@pytest.mark.parametrize(("ttl_ms", "pttl_ms"), [(3000, 1000), (1000, 3000)])
def test_the_smaller_of_ttl_and_pttl_counts_from_the_sending(
    clock: Clock, ttl_ms: int, pttl_ms: int
) -> None:
    gate = gate_of(clock)

    gate.read(permit(ttl_ms=ttl_ms), pttl_ms=pttl_ms, sent_at_s=clock.now_s - 0.5)

    clock.now_s += 0.499
    assert gate.permission is Permission.ALLOWED
    clock.now_s += 0.002
    assert gate.permission is Permission.HALT


@pytest.mark.parametrize("pttl_ms", [-1, -2, 0])
def test_a_key_that_does_not_expire_opens_nothing(clock: Clock, pttl_ms: int) -> None:
    gate = gate_of(clock)

    gate.read(permit(), pttl_ms=pttl_ms, sent_at_s=clock.now_s)

    assert gate.permission is Permission.HALT


@pytest.mark.parametrize("value", [None, b"", b"{}", b"1", permit()[:-1]])
def test_a_permit_that_is_gone_or_damaged_shuts_it(clock: Clock, value: bytes | None) -> None:
    gate = opened(clock)

    gate.read(value, pttl_ms=3000, sent_at_s=clock.now_s)

    assert gate.permission is Permission.HALT


def test_a_stop_shuts_it_at_once_and_is_named(clock: Clock) -> None:
    gate = opened(clock)

    assert gate.hear(STOP)

    with pytest.raises(Halted, match=r"^halted: .* \(trip T1\)$"):
        gate.require("strategy.order")
    assert gate.take_halts() == [Halt(Shut.WAITING, "T1", "loss")]
    assert gate.beat(open_orders=0, busy=False).trip_id == "T1"


@pytest.mark.parametrize("scope", ["group:signals", "agent:other"])
def test_a_stop_for_others_is_no_concern_of_it(clock: Clock, scope: str) -> None:
    gate = opened(clock)

    assert not gate.hear(read_message(b'{"enabled": true, "scope": "%s"}' % scope.encode()))

    assert gate.permission is Permission.ALLOWED


def test_false_on_the_bus_opens_nothing(clock: Clock) -> None:
    gate = opened(clock)
    gate.hear(STOP)

    assert not gate.hear(read_message(b'{"enabled": false}'))

    assert gate.permission is Permission.HALT


def test_a_higher_generation_opens_it_and_the_trip_is_forgotten(clock: Clock) -> None:
    gate = opened(clock)
    gate.hear(STOP)
    gate.read(permit(7), pttl_ms=3000, sent_at_s=clock.now_s)
    assert gate.permission is Permission.HALT

    gate.read(permit(8, releases=1), pttl_ms=3000, sent_at_s=clock.now_s)

    assert gate.permission is Permission.ALLOWED
    assert gate.beat(open_orders=0, busy=False).trip_id is None


def test_by_hand_it_opens_only_when_it_is_named(clock: Clock) -> None:
    gate = opened(clock, resume=Resume.MANUAL)
    gate.hear(STOP)

    gate.read(permit(8, releases=1), pttl_ms=3000, sent_at_s=clock.now_s)
    assert why_not(gate) == "waiting to be resumed by hand"
    gate.read(permit(9, releases=1, resumed={"a-1": 9}), pttl_ms=3000, sent_at_s=clock.now_s)

    assert gate.permission is Permission.ALLOWED


def test_after_a_mere_lapse_it_opens_by_itself(clock: Clock) -> None:
    gate = opened(clock, resume=Resume.MANUAL)
    clock.now_s += 60
    assert gate.permission is Permission.HALT

    gate.read(permit(issued_at="later"), pttl_ms=3000, sent_at_s=clock.now_s)

    assert gate.permission is Permission.ALLOWED


# -- acting --------------------------------------------------------------------------


def test_heartbeats_and_risk_are_free_of_it(clock: Clock) -> None:
    gate = gate_of(clock)

    gate.require("heartbeat.a-1")
    gate.require("risk.killswitch")
    assert why_not(gate, "heartbeats")


def test_the_author_may_name_the_channels_it_guards(clock: Clock) -> None:
    gate = gate_of(clock, acting_channels=("orders.*", "risk.override"))

    gate.require("strategy.order")
    assert why_not(gate, "orders.AAPL")
    assert why_not(gate, "risk.override")


def test_under_reduce_only_what_reduces_is_allowed(clock: Clock) -> None:
    gate = opened(clock, permit(halted=(Target(Level.REDUCE),)))

    with pytest.raises(Halted, match="only what reduces positions"), gate.acting():
        pass
    with gate.acting(reduces=True):
        gate.require("strategy.order")
    assert why_not(gate) == "only what reduces positions is allowed"


def test_a_reduce_is_heard_at_once_named_and_no_halt(clock: Clock) -> None:
    gate = opened(clock)

    message = b'{"enabled": true, "level": "reduce", "trip_id": "T1"}'
    assert gate.hear(read_message(message))

    beat = gate.beat(open_orders=2, busy=False)
    assert (beat.gate, beat.permission, beat.trip_id) == ("open", "reduce", "T1")
    assert gate.take_halts() == []
    gate.read(permit(8, releases=1), pttl_ms=3000, sent_at_s=clock.now_s)
    beat = gate.beat(open_orders=2, busy=False)
    assert (beat.permission, beat.trip_id) == ("allowed", None)


def test_after_a_halt_that_leaves_a_reduce_the_trip_stays_named(clock: Clock) -> None:
    gate = opened(clock)
    gate.hear(STOP)

    gate.read(permit(8, halted=(Target(Level.REDUCE),)), pttl_ms=3000, sent_at_s=clock.now_s)

    beat = gate.beat(open_orders=0, busy=False)
    assert (beat.gate, beat.permission, beat.trip_id) == ("open", "reduce", "T1")


def test_what_reduces_is_a_matter_of_each_thread(clock: Clock) -> None:
    gate = opened(clock, permit(halted=(Target(Level.REDUCE),)))
    refused: list[str] = []

    with gate.acting(reduces=True):
        thread = threading.Thread(target=lambda: refused.append(why_not(gate)))
        thread.start()
        thread.join(10)

    assert refused == ["only what reduces positions is allowed"]


# -- receipts ------------------------------------------------------------------------


def test_it_is_quiet_once_nothing_acts_any_more(clock: Clock) -> None:
    gate = opened(clock)
    quiet = []

    with gate.acting():
        gate.hear(STOP)
        quiet.append(gate.beat(open_orders=0, busy=False).is_quiet)
        gate.take_halts()
        gate.halt_handled()
        quiet.append(gate.beat(open_orders=0, busy=False).is_quiet)
    quiet.append(gate.beat(open_orders=0, busy=True).is_quiet)
    quiet.append(gate.beat(open_orders=2, busy=False).is_quiet)
    quiet.append(gate.beat(open_orders=0, busy=False).is_quiet)

    assert quiet == [False, False, False, False, True]


def test_open_orders_are_said_whatever_runs(clock: Clock) -> None:
    gate = opened(clock)
    gate.hear(STOP)

    assert gate.beat(open_orders=3, busy=True).open_orders == 3
    assert gate.beat(open_orders=0, busy=True).open_orders is None


def test_each_shutting_is_told_once_the_one_that_time_makes_too(clock: Clock) -> None:
    gate = opened(clock)
    assert gate.take_halts() == []

    clock.now_s += 3
    assert gate.take_halts() == [Halt(Shut.NO_PERMIT)]
    gate.hear(STOP)

    assert gate.take_halts() == []


def test_a_stop_that_is_over_before_it_was_looked_at_is_told(clock: Clock) -> None:
    gate = opened(clock)
    gate.hear(STOP)
    gate.read(permit(8, releases=1), pttl_ms=3000, sent_at_s=clock.now_s)

    assert gate.take_halts() == [Halt(Shut.WAITING, "T1", "loss")]


def test_a_halt_that_failed_comes_again_and_it_is_not_quiet(clock: Clock) -> None:
    gate = opened(clock)
    gate.hear(STOP)
    [halt] = gate.take_halts()

    gate.halt_failed(halt)

    assert gate.take_halts() == []
    assert not gate.beat(open_orders=0, busy=False).is_quiet
    clock.now_s += RETRY_S
    assert gate.take_halts() == [halt]
    gate.halt_handled()
    assert gate.beat(open_orders=0, busy=False).is_quiet


def test_a_halt_that_failed_is_dropped_once_the_agent_may_act_again(clock: Clock) -> None:
    gate = opened(clock)
    gate.hear(STOP)
    [halt] = gate.take_halts()
    gate.read(permit(8, releases=1), pttl_ms=3000, sent_at_s=clock.now_s)

    gate.halt_failed(halt)

    clock.now_s += RETRY_S
    assert gate.take_halts() == []
    assert gate.beat(open_orders=0, busy=False).open_orders == 0


# -- marks ---------------------------------------------------------------------------


class Marked(Agent):
    needs_permit = True

    @on_event("strategy.*")
    @acts
    def inside(self, event: object) -> object:
        return event

    @acts
    @every(5)
    def outside(self) -> str:
        return "ran"

    @deadman(20)
    def renew(self) -> str:
        return "renewed"


def test_a_method_that_acts_keeps_its_other_marks_and_its_name() -> None:
    agent = Marked()

    [(event, patterns)] = marked_events(agent)
    timers = {method.__name__: spec for method, spec in marked_timers(agent)}

    assert (event.__name__, patterns) == ("inside", ("strategy.*",))
    assert {name: spec.seconds for name, spec in timers.items()} == {"outside": 5, "renew": 20}


def test_a_method_that_acts_is_not_run_while_the_gate_is_shut() -> None:
    with pytest.raises(Halted):
        Marked().outside()


def test_a_deadman_is_left_out_while_the_gate_is_shut() -> None:
    agent = Marked()
    assert agent.renew() is None

    agent.engine.gate = opened(Clock())

    assert agent.renew() == "renewed"


def test_without_a_gate_all_is_allowed() -> None:
    class Free(Marked):
        needs_permit = False

    agent = Free()

    assert (agent.outside(), agent.renew(), agent.permission) == ("ran", "renewed", "allowed")
    with agent.acting():
        pass


@pytest.mark.parametrize(
    ("settings", "resume"),
    [
        ({"group": "execution"}, Resume.MANUAL),
        ({"group": "execution", "needs_permit": False}, None),
        ({"group": "execution", "resume": "on_permit"}, Resume.ON_PERMIT),
        ({"group": "signals"}, None),
        ({"group": "signals", "needs_permit": True}, Resume.ON_PERMIT),
        ({"group": "signals", "needs_permit": True, "resume": "manual"}, Resume.MANUAL),
    ],
)
def test_who_executes_has_a_gate_and_resumes_by_hand(settings: Any, resume: Resume | None) -> None:
    agent = type("Some", (Agent,), settings)()

    assert (agent.engine.gate and agent.engine.gate._rules._resume) == resume


def test_another_way_to_resume_is_refused_when_the_class_is_created() -> None:
    with pytest.raises(BadAgent, match=r"^Some\.resume is one of on_permit, manual, or None$"):
        type("Some", (Agent,), {"resume": "later"})


def test_the_group_given_to_the_constructor_counts() -> None:
    assert Agent(group="execution").engine.gate is not None


REDUCING = permit(halted=(Target(Level.REDUCE),))


def test_what_another_task_does_meanwhile_is_not_within_the_block(clock: Clock) -> None:
    gate = opened(clock, REDUCING)

    async def reduce(began: asyncio.Event, ended: asyncio.Event) -> None:
        with gate.acting(reduces=True):
            began.set()
            await ended.wait()

    async def both() -> str:
        began, ended = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(reduce(began, ended))
        await began.wait()
        why = why_not(gate)
        ended.set()
        await task
        return why

    assert asyncio.run(both()) == "only what reduces positions is allowed"


def test_a_task_begun_within_the_block_may_not_go_on_reducing_after_it(clock: Clock) -> None:
    gate = opened(clock, REDUCING)

    async def later(ended: asyncio.Event) -> str:
        gate.require("strategy.order")  # still within
        await ended.wait()
        return why_not(gate)

    async def block() -> str:
        ended = asyncio.Event()
        with gate.acting(reduces=True):
            task = asyncio.create_task(later(ended))
            await asyncio.sleep(0)
        ended.set()
        return await task

    assert asyncio.run(block()) == "only what reduces positions is allowed"


def test_a_publish_in_a_thread_of_the_blocks_own_is_within_it(clock: Clock) -> None:
    gate = opened(clock, REDUCING)

    async def block() -> None:
        with gate.acting(reduces=True):
            await asyncio.to_thread(gate.require, "strategy.order")

    asyncio.run(block())


def test_the_block_of_another_agent_is_none_of_this_ones(clock: Clock) -> None:
    gate, other = (opened(clock, REDUCING) for _ in range(2))

    with other.acting(reduces=True):
        assert why_not(gate) == "only what reduces positions is allowed"


class SlowBus:
    """Takes no message before it is told to."""

    def __init__(self) -> None:
        self.reached, self.may_go = threading.Event(), threading.Event()
        self.sent: list[str] = []

    def send(self, channel: str, body: bytes, *, durable: bool) -> int:  # noqa: ARG002 a Bus
        self.reached.set()
        assert self.may_go.wait(60)
        self.sent.append(channel)
        return 1

    def read_permit(self) -> tuple[bytes | None, int]:
        return None, -2

    def ask(self, question: Any) -> bytes | None:
        question.send()
        return None

    def close(self) -> None:
        """There is nothing to close."""


@pytest.mark.parametrize("act", ["publish", "ask"])
def test_a_message_that_waited_for_another_does_not_go_out_after_a_stop(
    act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = SlowBus()
    with within(REAL._replace(connect=lambda _url, _limit_s, _agent_id: bus)):
        agent = Agent(agent_id="a-1", group="execution")
    gate = agent.engine.gate
    assert gate is not None
    gate.read(permit(), pttl_ms=3000, sent_at_s=REAL.clock.steady_s() + 60)
    first = threading.Thread(target=agent.publish, args=("strategy.first", {}))
    refused: list[Halted] = []
    checked, require = threading.Event(), gate.require

    def noted(channel: str) -> None:
        require(channel)
        if channel == "strategy.second":
            checked.set()

    monkeypatch.setattr(gate, "require", noted)

    def second() -> None:
        try:
            getattr(agent, act)("strategy.second", {})
        except Halted as halted:
            refused.append(halted)

    first.start()
    assert bus.reached.wait(60)
    other = threading.Thread(target=second)
    other.start()
    assert checked.wait(60)
    gate.hear(STOP)
    bus.may_go.set()
    for thread in (first, other):
        thread.join(60)

    assert bus.sent == ["strategy.first"]
    assert [halted.trip_id for halted in refused] == ["T1"]


def test_what_a_plain_method_leaves_to_be_awaited_acts_as_well(clock: Clock) -> None:
    gate = opened(clock)

    class Trader:
        acting = staticmethod(gate.acting)

        @acts
        def order(self) -> Any:
            return self.send()

        async def send(self) -> str:
            gate.hear(STOP)  # while it is under way
            assert gate.beat(open_orders=0, busy=False).open_orders is None
            return "sent"

    trader = Trader()
    assert asyncio.run(trader.order()) == "sent"
    with pytest.raises(Halted):
        trader.order()


def test_one_that_is_awaited_after_the_gate_has_shut_does_not_act(clock: Clock) -> None:
    gate, sent = opened(clock), []

    class Trader:
        acting = staticmethod(gate.acting)

        @acts
        def order(self) -> Any:
            self.begun = self.send()
            return self.begun

        async def send(self) -> None:
            sent.append(1)

    trader = Trader()
    order = trader.order()
    gate.hear(STOP)
    with pytest.raises(Halted):
        asyncio.run(order)

    trader.begun.close()
    assert sent == []


def test_a_generator_cannot_be_marked() -> None:
    def orders(_agent: Any) -> Any:
        yield 1

    async def later(_agent: Any) -> Any:
        yield 1

    for method in (orders, later):
        with pytest.raises(TypeError, match="is a generator"):
            acts(method)
