from collections.abc import AsyncIterator, Iterator
from types import FunctionType
from typing import Any

import pytest
from orchestrator.agents import Agent, BadAgent, Event, Halt, acts, deadman, every, on_event
from orchestrator.agents.signatures import check_function


async def on_price(_self: Any, _event: Event) -> None: ...


async def on_prices(_self: Any, _event: Event) -> AsyncIterator[int]:
    yield 1


async def tick(_self: Any) -> None: ...


def lazy(_self: Any, _event: Event) -> Iterator[int]:
    yield 1


def alone(_self: Any) -> None: ...


def demanding(_self: Any, _event: Event, _more: int) -> None: ...


def relaxed(_self: Any, _event: Event, _more: int = 0, *_rest: Any, **_named: Any) -> None: ...


def on_data(function: Any) -> Any:
    """A copy of the function, marked."""
    return on_event("data.*")(FunctionType(function.__code__, globals()))


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"on_price": on_data(on_price)},
            r"^Bad\.on_price is async: write def, or make the class an AsyncAgent$",
        ),
        ({"on_price": on_event("data.*")(acts(on_price))}, r"^Bad\.on_price is async"),
        ({"on_price": acts(on_data(on_price))}, r"^Bad\.on_price is async"),
        ({"on_price": on_data(on_prices)}, r"is async"),
        ({"tick": every(5)(tick)}, r"^Bad\.tick is async"),
        ({"tick": deadman(5)(tick)}, r"^Bad\.tick is async"),
        ({"on_start": tick}, r"^Bad\.on_start is async"),
        ({"on_price": on_data(lazy)}, r"^Bad\.on_price has a yield"),
        ({"on_price": on_data(alone)}, r"^Bad\.on_price is called with \(self, event\)"),
        ({"on_price": on_data(demanding)}, r"missing a required argument: '_more'$"),
        ({"tick": every(5)(relaxed)}, r"^Bad\.tick is called with \(self\): missing"),
        ({"on_halt": alone}, r"^Bad\.on_halt is called with \(self, halt\): too many"),
        ({"on_killswitch": demanding, "on_reconnect": alone}, r"^Bad\.on_reconnect is called"),
        ({"on_price": staticmethod(on_data(demanding))}, r"with \(event\): missing"),
    ],
)
def test_a_class_with_a_method_that_the_kit_cannot_call_is_refused(
    members: dict[str, Any], text: str
) -> None:
    with pytest.raises(BadAgent, match=text):
        type("Bad", (Agent,), members)


def test_a_class_whose_methods_can_be_called_is_taken() -> None:
    class Good(Agent):
        @on_event("data.*")
        def on_price(self, event: Event, more: int = 0) -> None: ...

        @staticmethod
        @on_event("news.*")
        def on_news(event: Event) -> None: ...

        @acts
        @every(5)
        def tick(self) -> None: ...

        def on_halt(self, halt: Halt) -> None: ...

        async def helper(self, anything: int) -> None: ...

    assert Good().agent_id == "good"


def test_what_is_registered_at_run_time_is_checked_too() -> None:
    async def later(_event: Event) -> None: ...

    agent = Agent()

    with pytest.raises(BadAgent, match="later is async"):
        agent.call_on("data.*", later)
    with pytest.raises(BadAgent, match=r"is called with \(\): missing"):
        agent.call_every(5, lambda event: event)  # type: ignore[arg-type,misc]


def test_what_is_built_in_is_taken_as_it_is() -> None:
    check_function([].append, "event")
    check_function(print)
