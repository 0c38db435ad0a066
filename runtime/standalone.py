"""Actors without a supervisor: a root, or one actor in a test."""

from collections.abc import Callable

from .actor import Actor
from .address import Address
from .errors import ActorFailed


def start_actor(
    actor: Actor, address: Address | None = None, *, timeout_s: float = 30.0
) -> Address:
    """Start ``actor`` behind ``address`` (by default a new one) and wait until it is ready.

    Raises:
        StartFailed: It ended, or did not answer a ping within ``timeout_s``.
    """
    address = address if address is not None else Address(type(actor).__name__)
    actor.start_at(address)
    actor.wait_ready(timeout_s)
    return address


def stop_actor(
    actor: Actor, *, timeout_s: float = 10.0, before_close: Callable[[], object] | None = None
) -> None:
    """Stop ``actor``, kill it when ``timeout_s`` passes, and close its address.

    So are the addresses below it, if it is a supervisor: pending messages become dead
    letters, since there is no successor.

    Args:
        actor: One without a supervisor.
        timeout_s: How long it may take before it is killed, and again until it has ended.
        before_close: Called when nothing runs any more, to save pending messages.
    """
    actor.stop()
    if not actor.join(timeout_s):
        actor.kill(ActorFailed(actor.address.name, f"did not stop within {timeout_s:g} s"))
        actor.join(timeout_s)
    try:
        if before_close is not None:
            before_close()
    finally:
        for address in (actor.address, *actor.addresses_below()):
            address.close()
