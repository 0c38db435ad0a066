import pytest
from orchestrator.actors.heartbeat_monitor.instances import MOST, Instances

SILENT_S = 15.0


def heard(*beats: tuple[float, str]) -> Instances:
    made = Instances()
    for now, boot in beats:
        made.heard(boot, now=now, ended=False)
    return made


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        ([], 1),
        ([(0, "a"), (5, "a")], 1),
        ([(0, "a"), (5, "b")], 1),  # a restart
        ([(0, "a"), (5, "b"), (6, "a")], 2),
        ([(0, "a"), (1, "b"), (2, "c"), (5, "a"), (6, "b"), (7, "c")], 3),
        ([(0, "a"), (1, "b"), (2, "a"), (8, "c")], 1),  # all restarted at once
    ],
)
def test_who_is_heard_again_after_another_has_come_is_there_too(
    beats: list[tuple[float, str]], expected: int
) -> None:
    assert heard(*beats).count(now=8, silent_s=SILENT_S) == expected


def test_one_that_falls_silent_is_gone() -> None:
    both = heard((0, "a"), (1, "b"), (5, "a"))
    assert both.count(now=6, silent_s=SILENT_S) == 2

    both.heard("a", now=30, ended=False)

    assert both.count(now=30, silent_s=SILENT_S) == 1


def test_one_that_says_that_it_ends_is_gone_at_once() -> None:
    both = heard((0, "a"), (1, "b"), (2, "a"))

    both.heard("a", now=3, ended=True)

    assert both.count(now=3, silent_s=SILENT_S) == 1


def test_boots_without_end_and_of_any_kind_take_no_memory_without_end() -> None:
    made = heard(*((n, "x" * 10_000 + str(n)) for n in range(100)))
    for n in range(100):
        made.heard(f"{n}", now=n, ended=False)
    for odd in (None, 7, "", ["a"]):
        made.heard(odd, now=100, ended=False)

    assert len(made._seen) == MOST
    assert all(len(boot) <= 64 for boot in made._seen)
