from orchestrator.runtime.dead_letters import DeadLetters


def test_the_oldest_letter_makes_room_but_still_counts() -> None:
    letters = DeadLetters(capacity=2)
    for number in range(3):
        letters.add("actor", number, "why")

    assert [letter.message for letter in letters.snapshot()] == ["1", "2"]
    assert letters.total == 3


def test_a_huge_message_is_cut() -> None:
    letters = DeadLetters()
    letters.add("actor", "x" * 10_000, "why")

    assert len(letters.snapshot()[0].message) == 500
