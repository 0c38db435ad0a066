import json
import unicodedata

import pytest
from orchestrator.protocol.printable import printable, printable_json, printable_values

from ..hostile import HOSTILE

BAD = {"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"}


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_is_left_in_text_for_a_terminal(text: str) -> None:
    shown = printable(text)

    assert not {unicodedata.category(sign) for sign in shown} & BAD
    assert shown.encode().decode() == shown


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_means_what_it_meant(text: str, indent: int | None) -> None:
    shown = printable_json(json.dumps({"a": [text], text: 1}, ensure_ascii=False, indent=indent))

    assert json.loads(shown) == {"a": [text], text: 1}
    assert not {unicodedata.category(sign) for sign in shown.replace("\n", "")} & BAD


@pytest.mark.parametrize("text", ["", "plain", "日本語 🚀", "é", "1\u2009234", "a b"])
def test_text_of_people_stays(text: str) -> None:
    assert printable(text) == text


def test_only_texts_among_values_are_changed() -> None:
    assert printable_values({"a": "x\x9b", "b": 1, "c": ["\x1b"]}) == {
        "a": "x\\x9b",
        "b": 1,
        "c": ["\x1b"],
    }
