import pytest
import redis
from orchestrator.agents.simulation import MemoryBus, VirtualClock, selected
from orchestrator.protocol.permit import TTL_MS, read_permit
from orchestrator.protocol.targets import STOP_ALL, Level, Target


def test_a_clock_stands_still_and_is_never_set_back() -> None:
    clock = VirtualClock(100.0)
    clock.set(105.0)
    clock.set(90.0)

    assert clock.unix_s() == clock.monotonic_s() == clock.steady_s() == 105.0


def test_messages_are_kept_and_of_heartbeats_the_last() -> None:
    bus = MemoryBus(VirtualClock())
    bus.send("a.b", b'{"n":1}', durable=True)
    bus.send("heartbeat.x", b'{"n":1}', durable=False)
    bus.send("heartbeat.x", b'{"n":2}', durable=False)

    assert [(sent.channel, sent.durable) for sent in selected(bus.sent, "*", {"n": 1})] == [
        ("a.b", True)
    ]
    assert bus.beats == {"x": {"n": 2}}


def test_the_permit_is_there_until_a_stop_of_all_and_says_what_else_is_stopped() -> None:
    bus = MemoryBus(VirtualClock())
    reduce = Target(Level.REDUCE, "group:signals")
    bus.engage("loss", reduce)
    value, pttl_ms = bus.read_permit()
    bus.engage("worse", STOP_ALL)

    permit = read_permit(value)
    assert permit is not None
    assert (permit.halted, permit.releases, pttl_ms) == ((reduce,), 0, TTL_MS)
    assert bus.read_permit() == (None, -2)
    bus.release()
    after = read_permit(bus.read_permit()[0])
    assert after is not None
    assert (after.generation > permit.generation, after.releases) == (True, 2)


def test_a_bus_that_is_away_refuses_as_redis_does() -> None:
    bus = MemoryBus(VirtualClock())
    bus.is_away = True

    with pytest.raises(redis.ConnectionError):
        bus.send("a", b"{}", durable=False)
    with pytest.raises(redis.ConnectionError):
        bus.read_permit()
