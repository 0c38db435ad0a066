"""The private part of pykka that the runtime stands on; fails when pykka changes it."""

import pykka
from orchestrator.runtime import Actor, start_actor, stop_actor
from orchestrator.runtime._envelope import Envelope
from orchestrator.runtime._future import GreenletFuture


class Echo(Actor):
    def on_receive(self, message: object) -> object:
        return message


def test_an_envelope_is_a_message_and_the_future_of_its_answer() -> None:
    future = GreenletFuture()

    envelope = Envelope("hello", future)

    assert (envelope.message, envelope.reply_to) == ("hello", future)
    assert Envelope("hello").reply_to is None


def test_pykkas_own_references_send_such_envelopes() -> None:
    actor = Echo()
    address = start_actor(actor)
    sent: list[Envelope[object]] = []
    address.mailbox.put = lambda envelope, **_: sent.append(envelope)  # type: ignore[method-assign]

    actor.actor_ref.tell("told")
    future = actor.actor_ref.ask("asked", block=False)

    assert [type(envelope) for envelope in sent] == [Envelope, Envelope]
    assert [envelope.message for envelope in sent] == ["told", "asked"]
    assert isinstance(future, pykka.Future)
    assert sent[1].reply_to is future
    stop_actor(actor)
