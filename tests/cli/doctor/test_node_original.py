from collections.abc import Iterable
from pathlib import Path

import psycopg
import pytest
from orchestrator.cli.doctor.check_results import CheckResult, Level
from orchestrator.cli.doctor.node_original import check_node
from orchestrator.settings import Settings

TABLES = (Path(__file__).parents[2] / "e2e" / "hosted_tables.sql").read_text()
TOKEN = {"name": "a", "role": "viewer", "sha256": "0" * 64}


def by_name(results: Iterable[CheckResult]) -> dict[str, CheckResult]:
    return {result.name.removeprefix("from node: "): result for result in results}


@pytest.mark.db
def test_what_waits_in_the_tables_is_named(pg_url: str) -> None:
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(TABLES.encode())
        before = by_name(check_node(Settings(), pg_url, {}))
        connection.execute(
            "UPDATE orchestrator_state SET value = '{\"enabled\": true}' "
            "WHERE key = 'killswitch_status'"
        )
        connection.execute("UPDATE events SET type = 'data.market.AAPL.1m' WHERE type = '1m'")
        after = by_name(check_node(Settings(), pg_url, {}))

    assert before["tables"].said == "3 events and 2 agents are kept"
    assert before["killswitch"].level is Level.OK
    assert before["types"].level is Level.WARNING
    assert "rename-type 1m 'data.market.{symbol}.1m'" in before["types"].advice
    assert after["killswitch"].level is Level.WARNING
    assert after["types"].level is Level.OK


@pytest.mark.db
def test_a_database_without_the_tables_is_unknown(pg_url: str) -> None:
    assert by_name(check_node(Settings(), pg_url, {}))["tables"].level is Level.UNKNOWN


def test_a_database_that_is_away_is_unknown() -> None:
    for url in (None, "postgresql://u:p@127.0.0.1:1/x"):
        assert by_name(check_node(Settings(), url, {}))["tables"].level is Level.UNKNOWN


def test_loopback_is_said_until_there_are_tokens() -> None:
    bare = by_name(check_node(Settings(), None, {}))
    known = by_name(
        check_node(Settings.model_validate({"http": {"auth": {"tokens": [TOKEN]}}}), None, {})
    )

    assert (bare["address"].level, known["address"].level) == (Level.WARNING, Level.OK)


def test_a_front_origin_needs_a_host_name_that_is_answered() -> None:
    origin = "https://trading.mvp.com"
    bare = by_name(
        check_node(Settings.model_validate({"http": {"front_origin": origin}}), None, {})
    )
    named = {"front_origin": origin, "allowed_hosts": ["trading.mvp.com"]}
    known = by_name(check_node(Settings.model_validate({"http": named}), None, {}))

    assert (bare["host names"].level, known["host names"].level) == (Level.WARNING, Level.OK)


def test_node_env_test_is_no_way_to_run_a_desk() -> None:
    for environ, level in (
        ({"NODE_ENV": "test"}, Level.WARNING),
        ({"NODE_ENV": "production"}, Level.OK),
        ({}, Level.OK),
    ):
        assert by_name(check_node(Settings(), None, environ))["NODE_ENV"].level is level
