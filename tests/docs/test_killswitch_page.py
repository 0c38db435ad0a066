"""The program in docs/killswitch.md does what the page says, with a made-up venue."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from orchestrator.agents import Agent
from orchestrator.agents.testing import Bench

PAGE = Path(__file__).parents[2] / "docs" / "killswitch.md"


class Venue:
    """Cancels by itself once its time has passed."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._orders: list[Any] = []
        self._fires_at = float("inf")
        self.reachable = True

    def send(self, order: Any) -> None:
        self._orders = [*self.working, order]

    def cancel_all(self) -> None:
        if not self.reachable:
            raise ConnectionError("the venue does not answer")
        self._orders = []

    def cancel_all_after(self, seconds: float) -> None:
        self._fires_at = self._now_s() + seconds

    @property
    def working(self) -> list[Any]:
        """Orders that may be filled now."""
        if self._now_s() >= self._fires_at:
            self._orders = []
        return self._orders


class Desk:
    """The page's agent on a bench, with one order at the venue."""

    def __init__(self) -> None:
        self.bench = Bench(raises=False)
        self.venue = Venue(self.bench.clock.unix_s)
        [program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        names: dict[str, Any] = {"connect": lambda: self.venue, "__name__": "page"}
        exec(compile(program, PAGE.name, "exec"), names)  # noqa: S102 the page's own program
        self.agent: Agent = self.bench.start(names["Execution"])
        self.bench.deliver("strategy.candidate", {"symbol": "AAPL", "action": "BUY"})
        assert len(self.venue.working) == 1


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_while_the_gate_is_open_the_timer_never_fires(desk: Desk) -> None:
    desk.bench.advance(600)

    assert len(desk.venue.working) == 1


def test_a_halt_cancels_at_once(desk: Desk) -> None:
    desk.bench.halt()

    assert desk.venue.working == []
    assert desk.agent.open_orders == 0


def test_a_venue_that_does_not_answer_cancels_by_itself(desk: Desk) -> None:
    desk.venue.reachable = False

    desk.bench.halt()

    assert len(desk.venue.working) == 1
    desk.bench.advance(60)
    assert desk.venue.working == []


def test_without_a_permit_it_cancels_by_itself(desk: Desk) -> None:
    desk.venue.reachable = False

    desk.bench.permit(renewed=False)
    desk.bench.advance(3.5 + 60)

    assert desk.venue.working == []


def test_an_agent_that_has_died_renews_nothing(desk: Desk) -> None:
    desk.bench.clock.set(desk.bench.clock.unix_s() + 60)  # nothing of it runs meanwhile

    assert desk.venue.working == []


def test_under_reduce_the_timer_is_kept(desk: Desk) -> None:
    desk.bench.halt(level="reduce")
    desk.bench.advance(600)

    assert len(desk.venue.working) == 1
