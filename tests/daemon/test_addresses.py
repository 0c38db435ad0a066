from dataclasses import fields

from orchestrator.actors.broadcaster.clients import Clients
from orchestrator.daemon.addresses import Addresses, addresses
from orchestrator.runtime import Address, DeadLetters


def made() -> Addresses:
    return addresses(DeadLetters(), Clients())


def test_each_has_a_name_of_its_own() -> None:
    found: list[Address] = [getattr(made(), field.name) for field in fields(Addresses)]

    assert len({address.name for address in found}) == len(found) == 14


def test_what_only_shows_drops_its_oldest_instead_of_making_the_persister_wait() -> None:
    the = made()

    for address in (the.state_keeper, the.monitor, the.broadcaster):
        assert all(address.offer(number) for number in range(1_001)), address.name
        assert len(address.mailbox) == 1_000


def test_the_persister_makes_the_sockets_wait() -> None:
    persister = made().persister

    taken = [persister.offer(number) for number in range(65)]

    assert taken == [True] * 64 + [False]
