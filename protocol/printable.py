"""Text of others, made harmless for terminals and lines: ids and payloads are not trusted.

What Unicode calls not printable is escaped: controls (C0, C1), line and paragraph separators,
characters that are invisible or change the direction of text, lone surrogates. Spaces of all widths
and look-alike letters stay.
"""

from typing import Any, Final

_SPACES: Final = frozenset("\u00a0\u1680\u202f\u205f\u3000") | {
    chr(n) for n in range(0x2000, 0x200B)
}


def printable(text: str) -> str:
    r"""The text in one line that moves no cursor: ``\x1b`` for an escape, ``\x202e`` and so on."""
    if text.isprintable():
        return text
    return "".join(sign if _shows(sign) else f"\\x{ord(sign):02x}" for sign in text)


def printable_json(document: str) -> str:
    r"""JSON text with the same characters as ``\u`` escapes; it means what it meant.

    Newlines between values stay: within strings JSON has none.
    """
    if document.isprintable():
        return document
    return "".join(
        sign if _shows(sign) or sign == "\n" else _json_escape(sign) for sign in document
    )


def printable_values(fields: dict[str, Any]) -> dict[str, Any]:
    """The same fields, each text in one harmless line."""
    return {
        key: printable(value) if isinstance(value, str) else value for key, value in fields.items()
    }


def _shows(sign: str) -> bool:
    return sign.isprintable() or sign in _SPACES


def _json_escape(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
