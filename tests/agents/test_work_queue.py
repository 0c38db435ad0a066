import threading

from orchestrator.agents.work_queue import URGENT_CAPACITY, Work, WorkQueue


def work(channel: str) -> Work:
    return Work(channel, print)


def queue_of(capacity: int, lost: list[Work] | None = None) -> WorkQueue:
    return WorkQueue(capacity, (lost if lost is not None else []).append)


def channels(queue: WorkQueue) -> list[str]:
    found = []
    while (got := queue.get(0)) is not None:
        found.append(got.channel)
    return found


def test_what_is_foremost_overtakes_what_is_urgent_and_is_never_dropped() -> None:
    dropped: list[Work] = []
    queue = WorkQueue(10, dropped.append)
    queue.put_foremost(work("halt"))
    for number in range(URGENT_CAPACITY + 5):
        queue.put_urgent(work(f"urgent {number}"))

    first = queue.get(0)

    assert first is not None
    assert first.channel == "halt"
    assert len(dropped) == 5


def test_work_comes_out_in_the_order_it_came_in() -> None:
    queue = queue_of(10)
    for channel in ("data.market.A", "risk.x", "data.market.B", "strategy.y"):
        queue.put(work(channel))

    assert channels(queue) == ["data.market.A", "risk.x", "data.market.B", "strategy.y"]


def test_urgent_work_overtakes() -> None:
    queue = queue_of(10)
    queue.put(work("data.market.A"))
    queue.put_urgent(work("risk.killswitch"))

    assert channels(queue) == ["risk.killswitch", "data.market.A"]


def test_when_it_is_full_the_oldest_market_data_goes_first() -> None:
    lost: list[Work] = []
    queue = queue_of(3, lost)
    for channel in ("risk.x", "data.market.A", "data.market.B", "strategy.y"):
        queue.put(work(channel))

    assert channels(queue) == ["risk.x", "data.market.B", "strategy.y"]
    assert [item.channel for item in lost] == ["data.market.A"]
    assert queue.dropped == 1


def test_without_market_data_the_oldest_goes() -> None:
    queue = queue_of(2)
    for channel in ("a", "b", "c"):
        queue.put(work(channel))

    assert channels(queue) == ["b", "c"]


def test_urgent_work_is_bounded_too() -> None:
    queue = queue_of(1)
    for number in range(URGENT_CAPACITY + 1):
        queue.put_urgent(work(str(number)))

    assert len(queue) == URGENT_CAPACITY
    assert queue.get(0) == work("1")


def test_a_closed_queue_gives_out_nothing_and_wakes_who_waits() -> None:
    queue = queue_of(10)
    got: list[Work | None] = []
    waiter = threading.Thread(target=lambda: got.append(queue.get(60)), daemon=True)
    waiter.start()

    queue.close()
    waiter.join(5)

    queue.put(work("a"))
    assert got == [None]
    assert queue.get(60) is None
