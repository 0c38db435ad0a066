"""The addresses of this daemon's actors, each with its mailbox's bound and policy."""

from dataclasses import dataclass

from ..actors.broadcaster.clients import Clients
from ..runtime import Address, DeadLetters, FullPolicy, Mailbox


@dataclass(frozen=True)
class Addresses:
    """Every actor's address. They outlive all runs."""

    root: Address
    guard: Address
    persister: Address
    killswitch: Address
    rules: Address
    state_keeper: Address
    monitor: Address
    broadcaster: Address
    http: Address
    pruner: Address
    notifier: Address
    span_exporter: Address
    listener: Address
    agents: Address


def addresses(dead_letters: DeadLetters, clients: Clients) -> Addresses:
    """Each with the bound and the policy that its place in the flow demands (law 5)."""

    def address(name: str, capacity: int, on_full: FullPolicy = FullPolicy.BLOCK) -> Address:
        return Address(name, Mailbox(capacity, on_full), dead_letters)

    # Clients learn of what the broadcaster's mailbox gives up: it becomes a gap.
    shown = Mailbox(1_000, FullPolicy.DROP_OLDEST, on_drop=clients.missed)
    return Addresses(
        root=address("root", 1_000),
        guard=address("guard", 100),
        persister=address("persister", 64),  # batches; full: the sockets are not read on
        killswitch=address("killswitch", 1_000, FullPolicy.DROP_OLDEST),
        rules=address("rules", 1_000, FullPolicy.DROP_OLDEST),
        state_keeper=address("state-keeper", 1_000, FullPolicy.DROP_OLDEST),
        monitor=address("heartbeat-monitor", 1_000, FullPolicy.DROP_OLDEST),
        broadcaster=Address("broadcaster", shown, dead_letters),
        http=address("http", 100),
        pruner=address("pruner", 10),
        notifier=address("notifier", 1_000, FullPolicy.DROP_OLDEST),
        span_exporter=address("span-exporter", 1_000, FullPolicy.DROP_OLDEST),
        listener=address("redis-listener", 1_000),
        agents=address("agents", 1_000),
    )
