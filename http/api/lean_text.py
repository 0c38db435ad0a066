"""The page's files as they are served: without indentation, and comments that have own lines.

A sixth of the page's bytes over the wire were comments. This is no parser: what could be part of a
string is kept.
"""

import re
from typing import Final

_LINE: Final = {".js": "//"}
_STYLE_SPACES: Final = re.compile(r" *([{};,]) *|(?<=[\w-]:) ")
_BLOCK: Final = {".js": ("/*", "*/"), ".css": ("/*", "*/"), ".html": ("<!--", "-->")}


def lean(text: str, suffix: str) -> str:
    """``text`` of a ``.js``, ``.css`` or ``.html`` file; others are returned as they are.

    A comment leaves empty lines: line numbers in a browser's tools are those of the file. In a
    script all is kept from the first line on that may leave a template literal open (an odd number
    of backticks); in any file, a line after one that ends in a backslash. A style's line without a
    string or comment also loses the spaces that mean nothing there.
    """
    if suffix not in _BLOCK:
        return text
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        size = _comment_lines(lines, at, suffix)
        if not size and suffix == ".js" and lines[at].count("`") % 2:
            break
        lines[at : at + size] = [""] * size
        if not size and not (at and lines[at - 1].endswith("\\")):
            lines[at] = lines[at].lstrip(" ")
            if suffix == ".css" and not re.search(r"[\"'\\]|/\*|\*/", lines[at]):
                lines[at] = _STYLE_SPACES.sub(r"\1", lines[at])
        at += size or 1
    return "\n".join(lines)


def _comment_lines(lines: list[str], at: int, suffix: str) -> int:
    """How many lines from ``at`` on are one comment and nothing else."""
    line = lines[at].strip()
    if at and lines[at - 1].endswith("\\"):
        return 0
    if suffix in _LINE and line.startswith(_LINE[suffix]):
        return 1
    opens, closes = _BLOCK[suffix]
    if not line.startswith(opens):
        return 0
    rest = line.removeprefix(opens)
    for end in range(at, len(lines)):
        _, closed, behind = (rest if end == at else lines[end]).partition(closes)
        if closed:
            return 0 if behind.strip() else end - at + 1
    return 0
