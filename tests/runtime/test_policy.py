from enum import StrEnum

import pytest
from orchestrator.runtime.policy import (
    AutoShutdown,
    Restart,
    Strategy,
    group,
    is_restarted,
    shuts_down,
)


@pytest.mark.parametrize(
    ("restart", "failed", "expected"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.PERMANENT, False, True),
        (Restart.TRANSIENT, True, True),
        (Restart.TRANSIENT, False, False),
        (Restart.TEMPORARY, True, False),
        (Restart.TEMPORARY, False, False),
    ],
)
def test_the_restart_kind_decides(restart: Restart, failed: bool, expected: bool) -> None:
    assert is_restarted(restart, failed=failed) is expected


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, [2]),
        (Strategy.ONE_FOR_ALL, [0, 1, 2, 3, 4]),
        (Strategy.REST_FOR_ONE, [2, 3, 4]),
    ],
)
def test_the_strategy_names_who_is_restarted_too(strategy: Strategy, expected: list[int]) -> None:
    assert list(group(strategy, 5, 2)) == expected


@pytest.mark.parametrize(
    ("auto", "others_alive", "expected"),
    [
        (AutoShutdown.NEVER, [], False),
        (AutoShutdown.ANY_SIGNIFICANT, [True, True], True),
        (AutoShutdown.ALL_SIGNIFICANT, [True, False], False),
        (AutoShutdown.ALL_SIGNIFICANT, [False, False], True),
        (AutoShutdown.ALL_SIGNIFICANT, [], True),
    ],
)
def test_significant_ends_may_end_the_supervisor(
    auto: AutoShutdown, others_alive: list[bool], expected: bool
) -> None:
    assert shuts_down(auto, others_alive) is expected


@pytest.mark.parametrize("kind", [Restart, Strategy, AutoShutdown])
def test_a_word_that_is_not_otps_is_refused(kind: type[StrEnum]) -> None:
    with pytest.raises(AssertionError):
        {
            Restart: lambda: is_restarted("sometimes", failed=True),  # type: ignore[arg-type]
            Strategy: lambda: group("one_for_some", 1, 0),  # type: ignore[arg-type]
            AutoShutdown: lambda: shuts_down("maybe", []),  # type: ignore[arg-type]
        }[kind]()
