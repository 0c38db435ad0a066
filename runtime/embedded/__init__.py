"""Real servers of the daemon's own, for a machine that has none: PostgreSQL and Valkey.

Both run from the binaries that the extra ``[embedded]`` installs, durable, reachable from this
machine only, in sessions of their own: Ctrl-C reaches the daemon alone, which drains and then
stops them; after a ``kill -9`` of the daemon they live on, and the next start adopts them.
"""

from .postgres import EmbeddedPostgres
from .postgres_binaries import find_binaries
from .server import EmbeddedServer, Progress, ServerStartFailed
from .valkey import EmbeddedValkey

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedServer",
    "EmbeddedValkey",
    "Progress",
    "ServerStartFailed",
    "find_binaries",
]
