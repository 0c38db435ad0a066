from orchestrator.actors.heartbeat_monitor.changes import Change
from orchestrator.actors.heartbeat_monitor.flap_damper import CALM, WINDOW_S, FlapDamper


def change(number: int, agent_id: str = "a1") -> Change:
    return Change(agent_id, f"agent.{'online' if number % 2 else 'offline'}", f"n {number}")


def test_a_restart_is_told_as_it_comes() -> None:
    damper = FlapDamper()

    told = [damper.admit([change(n)], now=n) for n in range(CALM)]

    assert told == [[change(n)] for n in range(CALM)]
    assert damper.due(now=WINDOW_S * 3) == []


def test_one_that_flaps_is_one_event_a_minute_with_a_count_and_its_last_state() -> None:
    damper, told = FlapDamper(), []
    for second in range(181):
        told += [(second, one) for one in damper.admit([change(second)], now=second)]
        told += [(second, one) for one in damper.due(now=second)]

    assert [second for second, _ in told] == [0, 1, 2, 62, 122]
    assert [(one.count, one.reason.split(" (")[0]) for _, one in told[3:]] == [
        (60, "n 62"),
        (60, "n 122"),
    ]
    # It is calm again: the last state is told, and after that all as it comes.
    (last,) = damper.due(now=200)
    assert (last.count, last.event_type) == (58, change(180).event_type)
    assert damper.due(now=260) == []
    assert damper.admit([change(1)], now=261) == [change(1)]


def test_one_that_flaps_holds_up_no_other_and_lesser_changes_pass() -> None:
    damper = FlapDamper()
    for second in range(10):
        damper.admit([change(second)], now=second)
    lesser = Change("a1", None, "late")

    assert damper.admit([change(1, "a2"), lesser], now=10) == [change(1, "a2"), lesser]


def test_the_calm_are_forgotten() -> None:
    damper = FlapDamper()
    damper.admit([change(1, f"a{n}") for n in range(100)], now=0)

    damper.due(now=WINDOW_S)

    assert damper._agents == {}
