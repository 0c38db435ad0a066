import msgspec
from orchestrator.actors.state_keeper.values import StateValues
from orchestrator.sql.state import StateRow


def test_a_value_that_is_only_shown_is_not_written() -> None:
    values = StateValues()

    values.show("a", b"1", now="t")

    assert values.get("a") == StateRow("a", msgspec.Raw(b"1"), "t")
    assert values.unsaved() == ()


def test_of_values_that_wait_the_newest_counts() -> None:
    values = StateValues()
    values.keep("a", b"1", now="t")
    values.keep("a", b"2", now="t")

    assert values.unsaved() == (("a", b"2"),)


def test_a_value_that_came_while_another_was_written_still_waits() -> None:
    values = StateValues()
    values.keep("a", old := b"1", now="t")
    values.keep("a", b"2", now="t")

    values.saved("a", old)

    assert values.unsaved() == (("a", b"2"),)


def test_a_written_value_waits_no_longer() -> None:
    values = StateValues()
    values.keep("a", value := b"1", now="t")

    values.saved("a", value)

    assert values.unsaved() == ()


def test_what_postgresql_holds_does_not_overwrite_what_is_newer() -> None:
    values = StateValues()
    values.keep("a", b"2", now="t")

    values.merge([StateRow("a", msgspec.Raw(b"1"), "t"), StateRow("b", msgspec.Raw(b"3"), "t")])

    assert [(row.key, bytes(row.value)) for row in values.rows()] == [("a", b"2"), ("b", b"3")]
    assert values.get("missing") is None
