import pytest
from orchestrator.protocol.look_alikes import look_alikes

from ..hostile import HOSTILE


@pytest.mark.parametrize(
    "name", ["", "quotes-agent", "котировки-1", "価格", "prix-été", "a_b:c.9", "ελληνικά", "é"]
)
def test_names_of_one_script_are_not_said(name: str) -> None:
    assert look_alikes(name) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quotes-\u0430gent", "holds U+0430 CYRILLIC SMALL LETTER A"),
        ("\u0440\u0430\u0441\u0435", "holds U+0440 CYRILLIC SMALL LETTER ER, U+0430 CYRILLIC"),
        ("\u0391-1", "holds U+0391 GREEK CAPITAL LETTER ALPHA"),
        ("quote\uff53", "holds U+FF53 FULLWIDTH LATIN SMALL LETTER S"),
        ("a\u200bb", "holds U+200B ZERO WIDTH SPACE"),
        ("a\xa0b", "holds U+00A0 NO-BREAK SPACE"),
        ("a\x1b", "holds U+001B control character"),
        ("\u202ex", "holds U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("x\u0430\u0435\u043e\u0440", "SMALL LETTER O and 1 more"),
    ],
)
def test_what_may_be_taken_for_another_is_named(name: str, said: str) -> None:
    assert said in (look_alikes(name) or "")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_said_is_one_short_line(text: str) -> None:
    said = look_alikes(text) or ""

    assert said.isprintable()
    assert said.isascii()
    assert len(said) < 300
