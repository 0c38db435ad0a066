import subprocess
import sys

import gevent
import pytest
from orchestrator.runtime import Actor, Address, ping, start_actor, stop_actor
from orchestrator.runtime._envelope import Envelope
from orchestrator.runtime.errors import MailboxClosed, MailboxFull
from orchestrator.runtime.mailbox import FullPolicy, Mailbox
from quiet_clock import quiet_s


def fill(mailbox: Mailbox, *messages: object) -> None:
    for message in messages:
        mailbox.put(Envelope(message))


def drain(mailbox: Mailbox) -> list[object]:
    return [mailbox.get().message for _ in range(len(mailbox))]


def test_messages_come_out_in_the_order_they_went_in() -> None:
    mailbox = Mailbox()
    fill(mailbox, *range(100))

    assert drain(mailbox) == list(range(100))


def test_urgent_messages_come_first() -> None:
    mailbox = Mailbox()
    fill(mailbox, "normal")
    mailbox.put(Envelope("urgent"), urgent=True)

    assert drain(mailbox) == ["urgent", "normal"]


def test_a_reader_waits_for_a_message() -> None:
    mailbox = Mailbox()
    reader = gevent.spawn(mailbox.get)
    gevent.sleep(0)

    fill(mailbox, "late")

    assert reader.get(timeout=1).message == "late"


def test_a_writer_waits_for_room() -> None:
    mailbox = Mailbox(capacity=1)
    fill(mailbox, 1)
    writer = gevent.spawn(fill, mailbox, 2)
    gevent.sleep(0)
    assert not writer.dead

    assert mailbox.get().message == 1
    writer.get(timeout=1)

    assert drain(mailbox) == [2]


def test_many_writers_get_room_one_by_one_and_nothing_is_lost() -> None:
    mailbox = Mailbox(capacity=2)
    writers = [gevent.spawn(fill, mailbox, number) for number in range(50)]

    received = []
    while len(received) < 50:
        received.append(mailbox.get().message)
        assert len(mailbox) <= 2
        gevent.sleep(0)

    gevent.joinall(writers, timeout=1, raise_error=True)
    assert sorted(received) == list(range(50))


def test_a_writer_that_waited_too_long_gets_an_error() -> None:
    mailbox = Mailbox(capacity=1)
    mailbox.owner = "slow"
    fill(mailbox, 1)

    with pytest.raises(MailboxFull, match="the mailbox of slow is full"):
        mailbox.put(Envelope(2), timeout_s=0.01)

    assert drain(mailbox) == [1]


def test_a_writer_killed_while_it_waits_leaves_nothing_behind() -> None:
    mailbox = Mailbox(capacity=1)
    fill(mailbox, 1)
    writer = gevent.spawn(fill, mailbox, 2)
    gevent.sleep(0)

    writer.kill()
    mailbox.get()
    fill(mailbox, 3)

    assert drain(mailbox) == [3]


def test_a_mailbox_that_refuses_says_so() -> None:
    mailbox = Mailbox(capacity=1, on_full=FullPolicy.REFUSE)
    fill(mailbox, 1)

    with pytest.raises(MailboxFull):
        fill(mailbox, 2)


def test_a_mailbox_that_drops_the_oldest_counts_and_tells_it() -> None:
    dropped: list[object] = []
    mailbox = Mailbox(2, FullPolicy.DROP_OLDEST, dropped.append)

    fill(mailbox, 1, 2, 3)

    assert (drain(mailbox), dropped, mailbox.dropped) == ([2, 3], [1], 1)


def test_an_offer_never_waits() -> None:
    mailbox = Mailbox(capacity=1)

    assert [mailbox.offer(Envelope(n)) for n in range(2)] == [True, False]


def test_an_offer_to_a_dropping_mailbox_is_always_taken() -> None:
    mailbox = Mailbox(1, FullPolicy.DROP_OLDEST)

    assert [mailbox.offer(Envelope(n)) for n in range(3)] == [True] * 3


def test_a_full_mailbox_still_takes_what_the_runtime_sends() -> None:
    mailbox = Mailbox(capacity=1)
    fill(mailbox, 1)
    mailbox.put(Envelope("urgent"), urgent=True)

    mailbox.put_system(Envelope("stop"))

    assert drain(mailbox) == ["urgent", "stop", 1]


def test_taking_matching_messages_stops_at_the_first_other_one() -> None:
    mailbox = Mailbox()
    fill(mailbox, 1, 2, "three", 4)

    taken = [envelope.message for envelope in mailbox.take_matching(int, 10)]

    assert (taken, drain(mailbox)) == ([1, 2], ["three", 4])


def test_taking_matching_messages_keeps_to_its_limit() -> None:
    mailbox = Mailbox()
    fill(mailbox, *range(5))

    assert len(mailbox.take_matching(int, 3)) == 3


def test_taking_all_frees_those_who_wait_for_room() -> None:
    mailbox = Mailbox(capacity=1)
    fill(mailbox, 1)
    writer = gevent.spawn(fill, mailbox, 2)
    gevent.sleep(0)

    taken = mailbox.take_all()

    writer.get(timeout=1)
    assert [envelope.message for envelope in taken] == [1]


def test_a_writer_killed_after_it_was_woken_passes_the_room_on() -> None:
    mailbox = Mailbox(capacity=1)
    fill(mailbox, 1)
    first, second = gevent.spawn(fill, mailbox, 2), gevent.spawn(fill, mailbox, 3)
    gevent.sleep(0)

    first.kill(block=False)  # comes to it before the wake does
    mailbox.get()
    second.join(1)

    assert second.successful()
    assert drain(mailbox) == [3]


def test_room_in_one_lane_wakes_no_writer_of_the_other() -> None:
    mailbox = Mailbox(capacity=1)
    fill(mailbox, "normal")
    mailbox.put(Envelope("urgent"), urgent=True)
    waits = gevent.spawn(fill, mailbox, "more")
    gevent.sleep(0)

    assert mailbox.get().message == "urgent"
    gevent.sleep(0.01)

    assert not waits.dead
    assert mailbox.get().message == "normal"
    waits.join(1)
    assert drain(mailbox) == ["more"]


def test_whoever_waits_for_room_is_told_when_the_mailbox_closes() -> None:
    mailbox = Mailbox(capacity=1)
    fill(mailbox, 1)
    waits = gevent.spawn(fill, mailbox, 2)
    gevent.sleep(0)

    left = mailbox.close()
    waits.join(1)

    assert [envelope.message for envelope in left] == [1]
    assert isinstance(waits.exception, MailboxClosed)


def test_a_dropped_question_is_answered_by_that() -> None:
    address = Address("a", Mailbox(1, FullPolicy.DROP_OLDEST))
    asker = gevent.spawn(address.ask, "question", timeout_s=5)
    gevent.sleep(0)

    address.tell("news")
    asker.join(1)

    assert isinstance(asker.exception, MailboxFull)


def test_urgent_messages_pass_a_full_mailbox_within_100_ms() -> None:
    class Slow(Actor):
        def on_receive(self, message: object) -> object:
            gevent.sleep(0.005)
            return message

    actor, address = Slow(), Address("slow", Mailbox(1000))
    start_actor(actor, address)
    while address.offer("noise"):
        pass

    begin = quiet_s()
    ping(address, timeout_s=1)
    pinged_s = quiet_s() - begin
    assert address.ask("killswitch", timeout_s=1, urgent=True) == "killswitch"
    asked_s = quiet_s() - begin - pinged_s
    stop_actor(actor)
    stopped_s = quiet_s() - begin - pinged_s - asked_s

    assert max(pinged_s, asked_s, stopped_s) < 0.1
    assert address.dead_letters.total > 900


def test_a_million_messages_to_a_stalled_actor_cost_100_mb_at_most() -> None:
    """In a process of its own, so that only they are counted."""
    program = """
from gevent import monkey; monkey.patch_all()
import psutil
from orchestrator.runtime import Address, Mailbox
address = Address("stalled", Mailbox(2_000_000))
process = psutil.Process()
before = process.memory_info().rss
for number in range(1_000_000):
    address.tell(number)
print(process.memory_info().rss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )

    assert int(done.stdout) <= 100_000_000


@pytest.mark.parametrize("policy", list(FullPolicy))
def test_many_messages_to_a_full_mailbox_wait_refuse_or_push_out(policy: FullPolicy) -> None:
    address = Address("full", Mailbox(10, policy))

    refused = sum(not address.offer(number) for number in range(1000))

    assert refused == (0 if policy is FullPolicy.DROP_OLDEST else 990)
    assert address.mailbox.dropped == (990 if policy is FullPolicy.DROP_OLDEST else 0)
    assert len(address.mailbox) == 10
