"""Renaming a type of stored events, as after a move from a program that named them otherwise."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..connection import Connection
from ..named_queries import query

BATCH: Final = 5_000
"""Rows of one transaction: some 100 ms of locks, which only pruning meets."""

_FIELD: Final = re.compile(r"\{(\w+)\}")


class Renamed(NamedTuple):
    """What a batch did."""

    seen: int
    """Rows of the old type."""
    renamed: int
    """Those of them that have the new one now; the others lack a field that it names."""


def rename_type(connection: Connection, old: str, new: str) -> Iterator[Renamed]:
    """Rename ``old``, batch by batch in the order of ids; may be interrupted and repeated.

    Args:
        connection: In autocommit mode.
        old: The type as it is stored.
        new: The new one; ``{symbol}`` stands for that field of the payload.
    """
    parts = _FIELD.split(new)
    given = {
        "old": old,
        "parts": parts,
        "fields": [place % 2 == 1 for place in range(len(parts))],
        "batch": BATCH,
    }
    after = -1
    while True:
        row = connection.execute(query("events_rename_type"), given | {"after": after}).fetchone()
        if row is None or row[0] is None:
            return
        after = row[0]
        yield Renamed(row[1], row[2])
