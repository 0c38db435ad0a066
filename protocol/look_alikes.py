"""Names that look like other names: ``quotes-agent`` with a Cyrillic a, say.

A name in letters of one script is as good as any; what is said is a letter of another script among
Latin ones, a name made of nothing but letters that have a Latin twin, a wide or styled form of an
ASCII character, and what cannot be seen at all (Unicode TR 39 calls these confusable). Pure.
"""

import unicodedata
from typing import Final

from .printable import printable

NAMED: Final = 3
"""How many characters are named; one is enough to be warned."""

_TWINNED: Final = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU")
"""Scripts with letters that look as Latin ones do."""
_TWINS: Final = frozenset(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u0501\u04bb\u051b\u051d"
    "\u0410\u0412\u0415\u0405\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425"
    "\u0423"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u03bf\u03bd\u03f2\u03f3"
    "\u0585\u0578\u057d\u0581\u0570"
)
"""Their letters that can hardly be distinguished from Latin ones."""


def look_alikes(name: str) -> str | None:
    """In words, the characters by which ``name`` may be taken for another; ``None`` without any."""
    if name.isascii() and name.isprintable():
        return None
    found = [sign for sign in dict.fromkeys(name) if _pretends(sign)]
    foreign = [sign for sign in dict.fromkeys(name) if _script(sign) in _TWINNED]
    latin = any(sign.isascii() and sign.isalpha() for sign in name)
    if latin or (foreign and _TWINS.issuperset(foreign)):
        found += foreign
    if not found:
        return None
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"holds {', '.join(map(_named, found[:NAMED]))}{more}"


def _pretends(sign: str) -> bool:
    """Whether it is not seen, or another form of an ASCII character."""
    if sign.isascii():
        return not sign.isprintable()
    if printable(sign) != sign:
        return True
    plain = unicodedata.normalize("NFKC", sign)
    return plain != sign and plain.isascii()


def _script(sign: str) -> str:
    return unicodedata.name(sign, "").partition(" ")[0] if sign.isalpha() else ""


def _named(sign: str) -> str:
    return f"U+{ord(sign):04X} {unicodedata.name(sign, 'control character')}"
