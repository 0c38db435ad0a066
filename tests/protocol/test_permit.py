import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.protocol.permit import (
    KEY,
    PLAUSIBLE_AHEAD_S,
    READ_S,
    RENEW_S,
    TTL_MS,
    Permit,
    is_plausible,
    next_generation,
    permission,
    read_permit,
    valid_until,
    write_permit,
)
from orchestrator.protocol.targets import Level, Permission, Target
from stops import AT, targets

NOW = 1_769_851_800
PERMIT = Permit(NOW, "host-1", AT, releases=2, resumed={"a": 5})
FIELDS: dict[str, Any] = json.loads(write_permit(PERMIT))

permits = st.builds(
    Permit,
    generation=st.integers(1, 2**53 - 1),
    instance=st.just("host-1"),
    issued_at=st.just(AT),
    ttl_ms=st.integers(1, 10_000),
    halted=st.lists(targets, max_size=4).map(tuple),
    releases=st.integers(0, 9),
    resumed=st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(0, 9), max_size=3),
)


def test_the_contracts_numbers() -> None:
    assert (KEY, TTL_MS, RENEW_S, READ_S) == ("orchestrator:permit", 3000, 1.0, 0.25)


def test_a_permit_has_the_contracts_fields() -> None:
    permit = Permit(NOW, "host-1", AT, halted=(Target(Level.REDUCE, "group:g"),))

    assert json.loads(write_permit(permit)) == {
        "generation": NOW,
        "instance": "host-1",
        "issued_at": AT,
        "ttl_ms": 3000,
        "halted": [{"scope": "group:g", "level": "reduce"}],
        "releases": 0,
        "resumed": {},
        "signature": None,
    }


@given(permits)
def test_what_is_written_is_read_back(permit: Permit) -> None:
    assert read_permit(write_permit(permit)) == permit


@pytest.mark.parametrize("value", [None, b"", b"null", b"[]", b"{}", b"1", b"\xff"])
def test_anything_else_is_no_permit(value: bytes | None) -> None:
    assert read_permit(value) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("generation", 0),
        ("generation", -1),
        ("generation", True),
        ("generation", 2**53),
        ("ttl_ms", 0),
        ("ttl_ms", "3000"),
        ("ttl_ms", 3000.0),
        ("releases", -1),
        ("releases", None),
        ("instance", ""),
        ("instance", None),
        ("issued_at", 7),
        ("halted", None),
        ("halted", {}),
        ("halted", ["all"]),
        ("resumed", []),
        ("resumed", None),
        ("resumed", {"a": "5"}),
        ("resumed", {"a": -5}),
    ],
)
def test_a_permit_with_a_broken_field_is_none(name: str, value: object) -> None:
    assert read_permit(json.dumps(FIELDS).encode()) == PERMIT
    assert read_permit(json.dumps(FIELDS | {name: value}).encode()) is None


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "signature"])
def test_a_permit_without_a_field_is_none(name: str) -> None:
    fields = {key: value for key, value in FIELDS.items() if key != name}

    assert read_permit(json.dumps(fields).encode()) is None


def test_a_broken_target_in_a_permit_halts_all() -> None:
    permit = read_permit(json.dumps(FIELDS | {"halted": [{"scope": "group:"}]}).encode())

    assert permit is not None
    assert permission(permit, "a", "g") is Permission.HALT


def test_a_permit_without_releases_yet_is_one() -> None:
    assert read_permit(json.dumps(FIELDS | {"releases": 0}).encode()) is not None


@pytest.mark.parametrize(
    ("ttl_ms", "pttl_ms", "until"),
    [(3000, 2500, 12.5), (2000, 2500, 12.0), (3000, 3000, 13.0)],
)
def test_the_smaller_of_both_times_counts_from_the_sending(
    ttl_ms: int, pttl_ms: int, until: float
) -> None:
    assert valid_until(Permit(1, "i", AT, ttl_ms), pttl_ms, 10.0) == until


@pytest.mark.parametrize("pttl_ms", [-1, -2, 0])
def test_a_key_that_does_not_expire_is_no_lease(pttl_ms: int) -> None:
    assert valid_until(PERMIT, pttl_ms, 10.0) <= 10.0


def test_what_a_permit_allows_follows_from_what_it_halts() -> None:
    halted = (Target(Level.HALT, "agent:a"), Target(Level.REDUCE, "group:g"))
    permit = Permit(1, "i", AT, halted=halted)

    assert permission(permit, "a", "h") is Permission.HALT
    assert permission(permit, "b", "g") is Permission.REDUCE
    assert permission(permit, "b", "h") is Permission.ALLOWED


def test_an_agent_that_nobody_resumed_was_resumed_under_generation_0() -> None:
    assert PERMIT.resumed_under("a") == 5
    assert PERMIT.resumed_under("b") == 0
    assert Permit(1, "i", AT).resumed_under("a") == 0


@pytest.mark.parametrize(
    ("known", "generation"),
    [
        ([], NOW),
        ([0, 5], NOW),
        ([NOW - 1], NOW),
        ([NOW], NOW + 1),
        ([NOW, NOW + 7], NOW + 8),
        ([NOW + PLAUSIBLE_AHEAD_S], NOW + PLAUSIBLE_AHEAD_S + 1),
        ([NOW + PLAUSIBLE_AHEAD_S + 1], NOW),
        ([2**53 - 1, NOW + 1], NOW + 2),
    ],
)
def test_a_generation_is_above_all_that_are_known_and_not_in_the_past(
    known: list[int], generation: int
) -> None:
    assert next_generation(known, NOW + 0.9) == generation


def test_a_clock_that_stands_at_zero_gives_a_generation_too() -> None:
    assert next_generation([], 0.0) == 1


def test_a_generation_is_plausible_for_ten_years() -> None:
    assert PLAUSIBLE_AHEAD_S == 10 * 365 * 24 * 3600
    assert is_plausible(NOW + PLAUSIBLE_AHEAD_S, NOW)
    assert not is_plausible(NOW + PLAUSIBLE_AHEAD_S + 1, NOW)
    assert is_plausible(2**53 - 2, 2.0**53)
    assert not is_plausible(2**53 - 1, 2.0**53)
