from typing import Any

from orchestrator.agents.health import Health

OK, FAULT = "on_price", ValueError("no price")


def said(health: Health, now: float = 0.0) -> dict[str, Any]:
    """A heartbeat that gets through."""
    fields, number = health.beat(now)
    health.reported(number)
    return fields


def test_an_agent_that_did_nothing_yet_is_active() -> None:
    assert Health(0.0, 60).beat(7.0)[0] == {
        "status": "active",
        "uptime_s": 7,
        "handled": 0,
        "errors": 0,
        "unpublished": 0,
        "withheld": 0,
        "undecodable": 0,
        "busy_s": 0,
        "last_handled_s": None,
    }


def test_a_failed_handler_makes_the_status_error() -> None:
    health = Health(0.0, 60)

    was_good = health.fail(OK, FAULT, 1.0)

    fields = said(health)
    assert was_good
    assert (fields["status"], fields["last_error"]) == ("error", "on_price: ValueError: no price")


def test_the_error_stays_until_the_same_handler_succeeds() -> None:
    health = Health(0.0, 60)
    health.fail(OK, FAULT, 1.0)
    said(health)

    health.succeed("other", 2.0)
    assert said(health)["status"] == "error"
    health.succeed(OK, 3.0)
    assert said(health)["status"] == "active"


def test_an_error_is_told_once_even_if_the_handler_has_succeeded_since() -> None:
    health = Health(0.0, 60)
    health.fail(OK, FAULT, 1.0)
    health.succeed(OK, 2.0)

    assert said(health)["status"] == "error"
    assert said(health)["status"] == "active"


def test_an_error_that_comes_while_a_heartbeat_is_under_way_is_told_by_the_next() -> None:
    health = Health(0.0, 60)
    _, number = health.beat(0.0)
    health.fail(OK, FAULT, 1.0)
    health.succeed(OK, 2.0)

    health.reported(number)

    assert said(health)["status"] == "error"


def test_the_latest_of_several_errors_is_shown() -> None:
    health = Health(0.0, 60)
    health.fail("a", FAULT, 1.0)
    health.fail("b", FAULT, 1.0)
    assert not health.fail("a", ValueError("again"), 2.0)

    assert said(health)["last_error"] == "a: ValueError: again"


def test_a_reported_error_stays_until_it_is_cleared() -> None:
    health = Health(0.0, 60)
    assert health.report("the feed is stale")
    said(health)
    assert said(health)["last_error"] == "the feed is stale"

    health.clear_report()

    assert said(health)["status"] == "active"


def test_an_exception_can_be_reported() -> None:
    health = Health(0.0, 60)
    health.report(FAULT)

    assert said(health)["last_error"] == "ValueError: no price"


def test_a_handler_that_runs_beyond_its_limit_makes_the_status_error() -> None:
    health = Health(0.0, 60)
    health.begin(OK, 10.0)

    assert said(health, 70.0)["status"] == "active"
    assert said(health, 71.0)["last_error"] == "on_price has been running for 61 s"
    assert said(health, 71.0)["busy_s"] == 61.0


def test_the_age_of_the_last_handling_is_told() -> None:
    health = Health(0.0, 60)
    health.begin(OK, 1.0)
    health.succeed(OK, 2.0)

    fields = said(health, 5.5)

    assert (fields["last_handled_s"], fields["handled"], fields["busy_s"]) == (3.5, 1, 0)


def test_a_bus_that_is_away_is_no_error_of_the_agent() -> None:
    health = Health(0.0, 60)
    health.unpublished(1.0)
    health.undecodable()

    fields = said(health)

    assert (fields["status"], fields["unpublished"], fields["undecodable"]) == ("active", 1, 1)


def test_a_handler_that_may_not_act_is_counted_and_no_error() -> None:
    health = Health(0.0, 60)
    health.begin(OK, 1.0)

    health.withheld(2.0)

    fields = said(health, 2.0)
    assert (fields["status"], fields["withheld"], fields["handled"]) == ("active", 1, 1)


def test_only_a_handler_that_began_before_a_moment_runs_since_before_it() -> None:
    health = Health(0.0, 60)
    assert not health.runs_since_before(9.0)

    health.begin(OK, 5.0)

    assert [health.runs_since_before(moment) for moment in (4.0, 5.0, 6.0)] == [False, True, True]
