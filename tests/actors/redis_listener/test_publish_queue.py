from orchestrator.actors.messages.redis_listener import Publish
from orchestrator.actors.redis_listener.publish_queue import PublishQueue


def stop(tag: str) -> Publish:
    return Publish("risk.killswitch", b"{}", tag=tag)


def other(tag: str) -> Publish:
    return Publish("strategy.x", b"{}", tag=tag)


def drain(queue: PublishQueue) -> list[str]:
    tags = []
    while (publish := queue.take()) is not None:
        tags.append(publish.tag)
        queue.settle()
    return tags


def test_stops_go_first_each_kind_in_its_order() -> None:
    queue = PublishQueue()
    for publish in (other("a"), stop("1"), other("b"), stop("2")):
        queue.add(publish)

    assert drain(queue) == ["1", "2", "a", "b"]


def test_the_message_in_hand_stays_until_it_is_settled() -> None:
    queue = PublishQueue()
    queue.add(other("a"))

    assert queue.take() is queue.take()
    assert len(queue) == 1


def test_a_stop_overtakes_a_message_that_was_put_back() -> None:
    queue = PublishQueue()
    queue.add(other("a"))
    queue.take()
    queue.add(stop("1"))
    queue.put_back()

    assert drain(queue) == ["1", "a"]


def test_when_full_the_oldest_of_its_kind_goes_and_is_counted() -> None:
    queue = PublishQueue(capacity=2, stop_capacity=1)
    queue.add(stop("1"))
    assert queue.add(other("a")) is None
    assert queue.add(other("b")) is None

    victim = queue.add(other("c"))

    assert victim == other("a")
    assert drain(queue) == ["1", "b", "c"]


def test_stops_are_bounded_too() -> None:
    queue = PublishQueue(stop_capacity=1)
    queue.add(stop("1"))

    assert queue.add(stop("2")) == stop("1")


def test_an_interrupted_stop_is_sent_again() -> None:
    queue = PublishQueue()
    queue.add(stop("1"))
    queue.take()

    assert queue.interrupted() is None
    assert drain(queue) == ["1"]


def test_another_message_that_was_interrupted_is_given_up() -> None:
    queue = PublishQueue()
    queue.add(other("a"))
    queue.take()

    assert queue.interrupted() == other("a")
    assert drain(queue) == []


def test_nothing_in_hand_is_not_interrupted() -> None:
    queue = PublishQueue()
    queue.put_back()

    assert queue.interrupted() is None
    assert len(queue) == 0
