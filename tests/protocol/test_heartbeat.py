import pytest
from orchestrator.protocol.heartbeat import (
    GateBeat,
    GateState,
    gate_fields,
    normal_status,
    read_beat,
)
from orchestrator.protocol.targets import Level, Permission

OPEN, SHUT = GateState.OPEN, GateState.SHUT


def test_the_fields_of_a_receipt_are_read() -> None:
    fields = {
        "status": "halted",
        "gate": "shut",
        "generation": 7,
        "trip_id": "A",
        "open_orders": 0,
        "permission": "halt",
    }

    assert read_beat(fields) == GateBeat("halted", SHUT, 7, "A", 0, Permission.HALT)


def test_a_heartbeat_of_an_agent_without_a_gate_has_none_of_them() -> None:
    assert read_beat({"status": "ok"}) == GateBeat("active")
    assert read_beat({}) == GateBeat("active")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gate", "OPEN"),
        ("gate", True),
        ("gate", ["open"]),
        ("generation", "7"),
        ("generation", True),
        ("generation", -1),
        ("trip_id", 7),
        ("trip_id", " "),
        ("open_orders", 0.0),
        ("open_orders", False),
        ("open_orders", None),
        ("permission", "reduces"),
        ("permission", ["reduce"]),
    ],
)
def test_a_field_of_another_type_counts_as_absent(name: str, value: object) -> None:
    assert read_beat({name: value}) == GateBeat("active")


def test_a_trip_id_is_cut_as_aliases_are() -> None:
    assert read_beat({"trip_id": "x" * 300}).trip_id == "x" * 100


@pytest.mark.parametrize(
    ("reported", "status"),
    [
        ("active", "active"),
        ("healthy", "active"),
        ("ok", "active"),
        ("running", "active"),
        ("offline", "inactive"),
        ("stopped", "inactive"),
        ("inactive", "inactive"),
        ("error", "error"),
        ("failed", "error"),
        ("halted", "halted"),
        ("HALTED", "halted"),
        ("busy", "active"),
        ("", "active"),
        (None, "active"),
        (7, "active"),
    ],
)
def test_statuses_by_the_contracts_table(reported: object, status: str) -> None:
    assert normal_status(reported) == status


@pytest.mark.parametrize(
    ("beat", "halted"),
    [
        (GateBeat("halted", SHUT), True),
        (GateBeat("active", SHUT), True),
        (GateBeat("halted", OPEN), False),
        (GateBeat("active", OPEN), False),
        (GateBeat("halted"), True),
        (GateBeat("active"), False),
    ],
)
def test_a_gate_says_more_than_a_status(beat: GateBeat, halted: bool) -> None:
    assert beat.is_halted is halted


@pytest.mark.parametrize(
    ("beat", "quiet"),
    [
        (GateBeat("halted", SHUT, open_orders=0), True),
        (GateBeat("halted", SHUT, open_orders=1), False),
        (GateBeat("halted", SHUT), False),
        (GateBeat("active", OPEN, open_orders=0), False),
    ],
)
def test_quiet_is_halted_without_orders(beat: GateBeat, quiet: bool) -> None:
    assert beat.is_quiet is quiet


@pytest.mark.parametrize(
    ("beat", "halt", "reduce"),
    [
        (GateBeat("active", SHUT), True, True),
        (GateBeat("halted"), True, True),
        (GateBeat("active"), False, False),
        (GateBeat("active", OPEN), False, None),
        (GateBeat("active", OPEN, permission=Permission.ALLOWED), False, False),
        (GateBeat("active", OPEN, permission=Permission.REDUCE), False, True),
        (GateBeat("active", OPEN, permission=Permission.HALT), False, True),
    ],
)
def test_to_which_level_an_agent_keeps(
    beat: GateBeat, halt: bool | None, reduce: bool | None
) -> None:
    assert (beat.obeys(Level.HALT), beat.obeys(Level.REDUCE)) == (halt, reduce)


def test_a_shut_gate_says_halted_whatever_the_agent_says_of_itself() -> None:
    beat = GateBeat("active", SHUT, 7, "A", 2, Permission.HALT)

    assert gate_fields(beat) == {
        "gate": "shut",
        "generation": 7,
        "trip_id": "A",
        "open_orders": 2,
        "permission": "halt",
        "status": "halted",
    }


def test_an_open_gate_leaves_the_status_to_the_agent() -> None:
    assert "status" not in gate_fields(GateBeat("active", OPEN, 7))


def test_what_is_sent_is_read_back() -> None:
    beat = GateBeat("halted", SHUT, 7, "A", 0, Permission.HALT)

    assert read_beat(gate_fields(beat)) == beat


def test_a_drills_nonce_is_said_back() -> None:
    beat = GateBeat("active", GateState.OPEN, 1, drill="01J")

    assert gate_fields(beat)["drill"] == "01J"
    assert read_beat({"status": "active", **gate_fields(beat)}).drill == "01J"
    assert "drill" not in gate_fields(GateBeat("active", GateState.OPEN, 1))
