import json
from pathlib import Path
from typing import Any

import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.events.event_filter import ALL, EventFilter, like, parameters
from processor import time_scale
from quiet_clock import quiet_s

CASES = json.loads((Path(__file__).parents[2] / "protocol" / "patterns.json").read_text())


def test_only_the_star_is_special() -> None:
    assert like(r"data.*.1_m%\x") == r"data.%.1\_m\%\\x"


def test_a_filter_without_types_takes_all() -> None:
    assert parameters(ALL)["types"] is None
    assert parameters(ALL)["heartbeats"] == []


def test_the_channel_of_a_heartbeat_is_its_type_and_source() -> None:
    given = parameters(EventFilter(types=("heartbeat.dev_1", "risk.*")))

    assert given["types"] == ["heartbeat.dev\\_1", "risk.%"]
    assert given["heartbeats"] == ["dev\\_1"]


def test_all_heartbeats_are_those_without_a_source_too() -> None:
    assert parameters(EventFilter(types=("heartbeat.*",)))["types"] == ["heartbeat.%", "heartbeat"]


@pytest.mark.db
@pytest.mark.timing
def test_like_does_not_go_back_over_many_stars(admin: Connection) -> None:
    hard = [("*a" * 16 + "*b", "a" * 100_000), ("*" * 16 + "Z", "a" * 100_000)]

    began = quiet_s()
    found = [admin.execute("SELECT %s LIKE %s", (name, like(p))).fetchone() for p, name in hard]

    assert found == [(False,), (False,)]
    assert quiet_s() - began < 0.5 * time_scale()


@pytest.mark.db
@pytest.mark.parametrize("case", CASES)
def test_like_matches_as_patterns_do(admin: Connection, case: dict[str, Any]) -> None:
    given = (case["name"], like(case["pattern"]))

    assert admin.execute("SELECT %s LIKE %s", given).fetchone() == (case["matches"],)


@pytest.mark.db
def test_what_is_special_to_like_alone_means_itself(admin: Connection) -> None:
    def fits(name: str) -> bool:
        [found] = admin.execute("SELECT %s LIKE %s", (name, like(r"a_b%c\d*"))).fetchone() or ()
        return bool(found)

    assert fits(r"a_b%c\d")
    assert fits(r"a_b%c\dx")
    assert not fits(r"axb%c\d")
    assert not fits(r"a_bxxc\d")
    assert not fits(r"a_b%cd")
