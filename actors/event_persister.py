"""The persister (being written)."""

from ._persister_messages import (
    GetEvent,
    GetEvents,
    GetPersisterStatus,
    NoteProcessed,
    PersistEvents,
    PersisterStatus,
    PersistReplies,
    StoredEvent,
)

__all__ = [
    "GetEvent",
    "GetEvents",
    "GetPersisterStatus",
    "NoteProcessed",
    "PersistEvents",
    "PersistReplies",
    "PersisterStatus",
    "StoredEvent",
]
