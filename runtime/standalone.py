"""Actors without a supervisor: a root, or one actor in a test."""

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


def stop_actor(actor: Actor, *, timeout_s: float = 10.0) -> None:
    """Stop ``actor``, kill it when ``timeout_s`` passes, and close its address."""
    actor.stop()
    if not actor.join(timeout_s):
        actor.kill(ActorFailed(actor.address.name, f"did not stop within {timeout_s:g} s"))
        actor.join(timeout_s)
    actor.address.close()
