"""Where the RuleMonitor is in the tree; what it does is in tests/killswitch/rules."""

from orchestrator.actors.broadcaster.clients import Clients
from orchestrator.daemon.addresses import addresses
from orchestrator.daemon.stop_rules import StopRules
from orchestrator.killswitch.rules.rules import Rules
from orchestrator.killswitch.rules.settings import RuleSettings
from orchestrator.protocol.trips import Stop
from orchestrator.runtime import DeadLetters
from orchestrator.runtime.telemetry.metrics import Metrics


def made(**rules: RuleSettings) -> tuple[StopRules, Metrics]:
    to, metrics = addresses(DeadLetters(), Clients(1)), Metrics()
    return StopRules(Rules(rules, Stop, began_at=""), to, metrics), metrics


def test_it_sees_every_event_where_there_are_rules() -> None:
    rules, metrics = made(obey=RuleSettings(kind="acting"))

    [(address, types)] = rules.consumer().items()

    assert (address.name, types) == ("rules", None)
    assert rules.address is address
    assert [spec.address for spec in rules.specs()] == [address]
    assert b'orchestrator_rule_violations_total{rule="obey"} 0.0' in metrics.render()


def test_without_rules_there_is_nothing_of_it() -> None:
    rules, _ = made()

    assert (rules.consumer(), rules.specs(), rules.address) == ({}, [], None)
