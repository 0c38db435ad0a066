from orchestrator.sql.event_filter import ALL, EventFilter, like, parameters


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
