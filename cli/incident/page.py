"""The page of an incident: one file of HTML without scripts, all text of others escaped. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from operator import itemgetter
from typing import Any

from ...protocol.printable import printable
from ..formatting import event_summary
from .archive import Missing
from .span import Span
from .state_at import differences

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
  color-scheme: light dark }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0;
  overflow-wrap: anywhere; border-bottom: 1px solid #8884 }
td:first-child { white-space: nowrap }
tr.moment td { border-bottom: 3px solid #c33; font-weight: bold }
""".strip()
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass
class Story:
    """What the page tells."""

    span: Span
    about: Mapping[str, Any]
    """Facts of instance and versions."""
    before: dict[str, Any]
    after: dict[str, Any]
    counts: Mapping[str, int]
    """Events of the span by type."""
    timeline: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Time, what, who, in words; in any order."""
    cut: int = 0
    """How many lines the timeline lacks."""
    parts: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[Missing] = ()


def line_of_event(event: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """An event's line of the timeline."""
    kind = str(event.get("type"))
    said = event_summary(kind, event.get("payload"))
    return (str(event.get("ts")), kind, str(event.get("source") or ""), said)


def line_of_act(act: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """An act's line of the timeline."""
    said = [act.get(name) for name in ("outcome", "target", "reason", "detail")]
    text = ", ".join(str(one) for one in said if one)
    return (str(act.get("at")), f"act: {act.get('action')}", str(act.get("actor") or ""), text)


def page(story: Story) -> str:
    """The whole document."""
    span = story.span
    title = f"Incident around {span.moment_text}"
    parts = [
        f"<h1>{_text(title)}</h1>",
        f"<p>{_text(span.begin_text)} to {_text(span.end_text)}, all times in UTC.</p>",
        _table(("", ""), [(name, value) for name, value in story.about.items()]),
        *_missing(story.missing),
        "<h2>Before and after</h2>",
        _changes(story),
        "<h2>What happened</h2>",
        _timeline(story),
        "<h2>Events by type</h2>",
        _table(("Type", "Events"), sorted(story.counts.items(), key=itemgetter(1), reverse=True)),
        "<h2>In this archive</h2>",
        _table(("File", "What it is"), story.parts.items()),
    ]
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        f"<title>{_text(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
    )
    return head + "\n".join(parts) + "\n</body>\n</html>\n"


def _missing(missing: Sequence[Missing]) -> list[str]:
    if not missing:
        return []
    rows = [(one.part, one.why) for one in missing]
    return ["<h2>What is missing</h2>", _table(("Part", "Why"), rows)]


def _changes(story: Story) -> str:
    rows = differences(story.before, story.after)
    if not rows:
        return "<p>No state changed that events tell of.</p>"
    return _table(("", "Before", "After"), rows)


def _timeline(story: Story) -> str:
    moment = story.span.moment_text
    lines = sorted(story.timeline)
    at = sum(line[0] <= moment for line in lines)
    rows = [_row(line) for line in lines]
    rows.insert(
        at, f'<tr class="moment"><td>{_text(moment)}</td><td colspan="3">asked for</td></tr>'
    )
    cut = f"<p>{story.cut} more are in the files.</p>" if story.cut else ""
    return (
        f"<table>\n{_heads(('Time', 'What', 'Who', ''))}\n" + "\n".join(rows) + f"\n</table>{cut}"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    first = [_heads(heads)] if any(heads) else []
    return "<table>\n" + "\n".join([*first, *map(_row, rows)]) + "\n</table>"


def _heads(heads: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<th>{_text(head)}</th>" for head in heads) + "</tr>"


def _row(cells: Sequence[object]) -> str:
    return "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>"


def _text(value: object) -> str:
    return escape(printable(str(value)))
