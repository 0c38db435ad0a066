"""Tables that change in a file whose other bytes stay."""

import string
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator.cli.offline.settings_text import (
    CannotEdit,
    toml,
    with_table,
    with_value,
    without_table,
)

FILE = '''# Our desk.
[http]
port = 1  # theirs

# Prices of the exchange.
[agents.prices]
command = [
  "feed",  # ours
  "[agents.risk]",
]
group = "ingestion"  # reads
options = { symbol = "A#B", n = 1 }

[agents.prices.env]
A = """
[agents.other]
"""

# Checks orders.
[agents.risk]
class = "risk:Risk"
'''


def test_a_table_goes_with_all_within_it_and_comments_around_it_stay() -> None:
    text = without_table(FILE, ("agents", "prices"))

    assert text == (
        "# Our desk.\n[http]\nport = 1  # theirs\n\n# Prices of the exchange.\n\n"
        '# Checks orders.\n[agents.risk]\nclass = "risk:Risk"\n'
    )


def test_a_table_is_added_at_the_end() -> None:
    text = with_table(FILE, ("agents", "new.1"), {"class": "m:C", "options": {"a b": [1, True]}})

    assert text == FILE + ('\n[agents."new.1"]\nclass = "m:C"\noptions = { "a b" = [1, true] }\n')
    assert with_table("", ("agents", "a"), {"class": "m:C"}) == '[agents.a]\nclass = "m:C"\n'


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        (("group",), "signals", '"ingestion"  # reads', '"signals"  # reads'),
        (("group",), None, 'group = "ingestion"  # reads\n', ""),
        (("options", "n"), 2, "n = 1 }", "n = 2 }"),
        (("options", "n"), None, '"A#B", n = 1 }', '"A#B" }'),
        (("shutdown_s",), 1.5, "n = 1 }\n", "n = 1 }\nshutdown_s = 1.5\n"),
        (("env", "B"), "x", '"""\n\n# Checks', '"""\nB = "x"\n\n# Checks'),
        (
            ("command",),
            ["a"],
            'command = [\n  "feed",  # ours\n  "[agents.risk]",\n]\n',
            'command = ["a"]\n',
        ),
    ],
)
def test_a_key_is_set_or_taken_out_where_it_stands(
    key: tuple[str, ...], value: Any, old: str, new: str
) -> None:
    assert FILE.count(old) == 1

    assert with_value(FILE, ("agents", "prices"), key, value) == FILE.replace(old, new)


def test_tables_that_are_written_otherwise_are_edited_or_refused_but_never_damaged() -> None:
    dotted = '[agents]\na.class = "m:A"\nb.class = "m:B"\n'
    inline = 'agents = { a = { class = "m:A" }, b = { class = "m:B" } }\n'

    assert without_table(dotted, ("agents", "a")) == '[agents]\nb.class = "m:B"\n'
    assert 'a.class = "m:C"' in with_value(dotted, ("agents", "a"), ("class",), "m:C")
    with pytest.raises(CannotEdit):
        without_table(inline, ("agents", "a"))
    with pytest.raises(CannotEdit, match="already"):
        with_table(inline, ("agents", "a"), {"class": "m:A"})
    with pytest.raises(CannotEdit, match="no table"):
        with_value(FILE, ("agents", "nobody"), ("class",), "m:A")
    with pytest.raises(CannotEdit, match="there is no"):
        without_table(FILE, ("agents", "nobody"))


def test_the_only_agent_goes_and_lines_of_windows_are_read() -> None:
    text = '[http]\r\nport = 1\r\n\r\n[agents.a]\r\nclass = "m:A"\r\n'

    assert tomllib.loads(without_table(text, ("agents", "a"))) == {"http": {"port": 1}}
    assert tomllib.loads(with_value(text, ("agents", "a"), ("group",), "g"))["agents"] == {
        "a": {"class": "m:A", "group": "g"}
    }


NAMES = st.text(string.ascii_letters + string.digits + "._-é \"'=#[", min_size=1, max_size=5)
VALUES = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(name=NAMES, values=st.dictionaries(NAMES, VALUES, max_size=3), key=NAMES, value=VALUES)
def test_whatever_is_added_and_set_is_read_back(
    name: str, values: dict[str, Any], key: str, value: Any
) -> None:
    table = ("agents", name)
    try:
        added = with_table(FILE, table, values)
        changed = with_value(added, table, (key,), value)
    except CannotEdit:  # a key of nothing but DEL, say: refused, as all that TOML cannot hold
        return

    assert changed.startswith(FILE)
    found = tomllib.loads(changed)["agents"].get(name, {})
    assert found.get(key, {}) == value
    gone = without_table(changed, table) if name in tomllib.loads(changed)["agents"] else FILE
    assert tomllib.loads(gone) == tomllib.loads(FILE)


def test_values_are_written_in_one_line() -> None:
    assert toml({"a": [1, 2.5, "x\ny"], "b": {}}) == '{ a = [1, 2.5, "x\\ny"], b = {} }'
