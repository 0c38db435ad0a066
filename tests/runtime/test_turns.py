import time

import gevent
from orchestrator.runtime import give_way
from quiet_clock import quiet_s


def test_busy_greenlets_do_not_hold_up_a_timer() -> None:
    end = time.monotonic() + 0.3

    def busy() -> None:
        while time.monotonic() < end:
            until = time.monotonic() + 0.002
            while time.monotonic() < until:
                pass
            give_way()

    worst = 0.0
    greenlets = [gevent.spawn(busy) for _ in range(2)]
    while time.monotonic() < end:
        due = quiet_s() + 0.005
        gevent.sleep(0.005)
        worst = max(worst, quiet_s() - due)
    gevent.joinall(greenlets)

    assert worst < 0.05


def test_giving_way_when_nobody_waits_costs_no_wait() -> None:
    begin = quiet_s()
    for _ in range(1000):
        give_way()

    assert quiet_s() - begin < 0.3
