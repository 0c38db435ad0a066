from orchestrator.agents.dead_letters import CAPACITY, DeadLetters
from orchestrator.agents.event import Event


def test_the_last_are_kept_and_all_are_counted() -> None:
    letters = DeadLetters()

    for number in range(CAPACITY + 3):
        letters.add(Event("a", number), "on_a", "ValueError: no")

    assert letters.total == CAPACITY + 3
    assert [letter.event.payload for letter in letters.last()] == list(range(3, CAPACITY + 3))
    assert (letters.last()[0].handler, letters.last()[0].reason) == ("on_a", "ValueError: no")
