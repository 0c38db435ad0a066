"""The options that select events, the same for every command that does.

They are words of one language (`protocol.where`): what no parameter of the daemon's stands for
becomes part of one filter, which daemon and database reading apply alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from ..protocol.where import SEVERITIES, BadWhere, term, where
from .client.completion import complete_topics
from .errors import BadUsage


@dataclass(frozen=True)
class Filter:
    """Selection of events."""

    types: tuple[str, ...] = ()
    """Types or patterns; empty: all."""
    where: str | None = None
    """What is wanted of these, in the filter language."""
    source: str | None = None
    """Only of this agent, exactly."""
    chain: str | None = None
    """Only of this chain of causes."""
    begin: str | None = None
    """Not before this time (ISO 8601)."""
    end: str | None = None
    """Not after this time."""

    def query(self) -> dict[str, object]:
        """The parameters of `/bus/events`."""
        return {
            "type": list(self.types) or None,
            "source": self.source,
            "from": self.begin,
            "to": self.end,
            "correlation_id": self.chain,
            "where": self.where,
        }

    @property
    def whole(self) -> str | None:
        """All but types and times as one filter: for live events, which have no other parameters.

        Raises:
            BadUsage: it is too long.
        """
        terms = [self.where] if self.where else []
        terms += [term("source", "==", self.source)] if self.source is not None else []
        terms += [term("trace", "==", self.chain)] if self.chain is not None else []
        return checked(" and ".join(terms)) if terms else None


def checked(text: str) -> str:
    """A filter that can be read.

    Raises:
        BadUsage: it cannot; says where.
    """
    try:
        where(text)
    except BadWhere as error:
        raise BadUsage(
            f"cannot read the filter: {text}",
            cause=str(error),
            advice="such as --where 'data.symbol == \"AAPL\" and data.score >= 0.8'",
        ) from None
    return text


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options; the command gets one `Filter`, named `wanted`."""

    @wraps(function)
    def called(*args: Any, **given: Any) -> Any:
        words = {name: given.pop(name) for name in _WORDS}
        return function(*args, wanted=_filter_of(**words), **given)

    for option in reversed(_options()):
        called = option(called)
    return called


_WORDS = ("patterns", "topics", "unwanted", "source", "severity", "trace", "wheres")


def _options() -> tuple[Callable[..., Any], ...]:
    return (
        click.argument(
            "patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_topics
        ),
        click.option(
            "--topic",
            "topics",
            multiple=True,
            metavar="PATTERN",
            shell_complete=complete_topics,
            help="Only these types, like PATTERN.",
        ),
        click.option(
            "--not", "unwanted", multiple=True, metavar="PATTERN", help="Exclude these types."
        ),
        click.option("--source", metavar="AGENT", help="Only of this agent; may be a pattern."),
        click.option(
            "--severity", type=click.Choice(SEVERITIES), help="Only of this severity and above."
        ),
        click.option("--trace", metavar="ID", help="Only of this chain (correlation_id)."),
        click.option(
            "--where",
            "wheres",
            multiple=True,
            metavar="FILTER",
            help="Only those of which this holds: 'data.score >= 0.8'.",
        ),
    )


def _filter_of(  # noqa: PLR0913 - the options
    *,
    patterns: tuple[str, ...],
    topics: tuple[str, ...],
    unwanted: tuple[str, ...],
    source: str | None,
    severity: str | None,
    trace: str | None,
    wheres: tuple[str, ...],
) -> Filter:
    terms = [checked(text) for text in wheres]
    terms += [term("topic", "!=", pattern) for pattern in unwanted]
    if severity is not None:
        terms.append(term("severity", ">=", severity))
    if source is not None and "*" in source:
        terms.append(term("source", "==", source))
        source = None
    text = checked(" and ".join(terms)) if terms else None
    return Filter((*patterns, *topics), text, source, trace)
