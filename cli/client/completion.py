"""Shell completion of agents, topics and state keys, asked of the running daemon."""

import re
from dataclasses import replace

import click
from click.shell_completion import CompletionItem

from ..errors import Failure
from ..options import Invocation
from .rest import Client

# What a shell inserts unquoted, and runs at Enter: other names are typed, not offered.
_PLAIN = re.compile(r"[A-Za-z0-9._:@%+,/][A-Za-z0-9._:@%+,/-]*")
LIMIT_S = 0.5
"""Longest wait after Tab."""


def _offered(context: click.Context, path: str, items: str, name: str, text: str) -> list[str]:
    """The names at ``path`` that begin with the text; empty without a daemon."""
    root = context.find_root().obj
    invocation = replace(root if isinstance(root, Invocation) else Invocation(), quiet=True)
    try:
        with Client.of(invocation, timeout_s=LIMIT_S) as client:
            rows = client.get(path).get(items, [])
    except Failure:
        return []
    names = [str(row.get(name, "")) for row in rows]
    return [name for name in names if name.startswith(text) and _PLAIN.fullmatch(name)]


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
