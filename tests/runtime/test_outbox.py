import gevent
from orchestrator.runtime import Address, Mailbox, Outbox


def test_a_message_goes_at_once_when_there_is_room() -> None:
    address = Address("to")

    Outbox(address).send("news")

    assert address.mailbox.get().message == "news"


def test_sending_never_waits_and_the_pump_keeps_the_order() -> None:
    address = Address("to", Mailbox(1))
    outbox = Outbox(address)
    for number in range(5):
        outbox.send(number)
    pump = gevent.spawn(outbox.pump)

    received = [address.mailbox.get().message for _ in range(5)]

    pump.kill()
    assert received == list(range(5))


def test_a_full_outbox_drops_the_oldest_and_counts_it() -> None:
    dropped: list[object] = []
    outbox = Outbox(Address("to", Mailbox(1)), capacity=2, on_drop=dropped.append)
    for number in range(5):
        outbox.send(number)

    assert (dropped, outbox.dropped, len(outbox)) == ([1, 2], 2, 2)


def test_a_pump_killed_while_it_waits_gives_its_message_back() -> None:
    address = Address("to", Mailbox(1))
    outbox = Outbox(address)
    for number in range(3):
        outbox.send(number)
    pump = gevent.spawn(outbox.pump)
    gevent.sleep(0)
    pump.kill()
    pump = gevent.spawn(outbox.pump)

    received = [address.mailbox.get().message for _ in range(3)]

    pump.kill()
    assert received == [0, 1, 2]


def test_an_urgent_outbox_uses_the_urgent_lane() -> None:
    address = Address("to")
    address.tell("normal")

    Outbox(address, urgent=True).send("urgent")

    assert address.mailbox.get().message == "urgent"
