from orchestrator.protocol.ways import Way


def test_ways_of_strangers_are_bounded_and_those_of_authorised_calls_are_not() -> None:
    bounded = {way.value for way in Way if way.bounded}

    assert bounded == {"bus", "stream", "file", "sql", "redis", "beat", "damage"}
    assert {way.value for way in Way} - bounded == {
        "http",
        "socket",
        "process",
        "signal",
        "guard",
        "unclean",
        "rule",
    }
