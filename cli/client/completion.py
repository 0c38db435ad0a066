"""Shell completion of agents, topics and state keys, asked of the running daemon."""

from functools import partial

import click
from click.shell_completion import CompletionItem

from ..errors import Failure
from ..options import DEFAULT_URL
from .rest import Client
from .tls import ca_context

LIMIT_S = 0.5
"""Longest wait after Tab."""


def _offered(context: click.Context, path: str, items: str, name: str, text: str) -> list[str]:
    """The names at ``path`` that begin with the text; empty without a daemon."""
    root = context.find_root().obj
    url = str(getattr(root, "url", DEFAULT_URL))
    tls = partial(ca_context, getattr(root, "ca_file", None))
    try:
        with Client(url, timeout_s=LIMIT_S, tls=tls) as client:
            rows = client.get(path).get(items, [])
    except Failure:
        return []
    return [str(row[name]) for row in rows if str(row.get(name, "")).startswith(text)]


def complete_agents(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Agent ids."""
    found = _offered(context, "/health/agents", "agents", "id", incomplete)
    return [CompletionItem(name) for name in found]


def complete_topics(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Types of events."""
    found = _offered(context, "/bus/types", "types", "type", incomplete)
    return [CompletionItem(name) for name in found]


def complete_state_keys(
    context: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Keys of the state."""
    found = _offered(context, "/state", "state", "key", incomplete)
    return [CompletionItem(name) for name in found]
