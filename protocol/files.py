"""Files that are replaced whole: after a crash there is the old content or the new, never half."""

import os
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of ``path``'s content; on disk when this returns. Blocks.

    Raises:
        OSError: The disk refused; ``path`` is as it was.
    """
    draft = draft_of(path)
    draft.write_bytes(data)
    replace_durably(draft, path)


def draft_of(path: Path) -> Path:
    """Where a file is written before `replace_durably` gives it its name: ``<name>.new``."""
    return path.with_name(f"{path.name}.new")


def replace_durably(draft: Path, path: Path) -> None:
    """Rename ``draft`` to ``path``, content and name synced to disk. Blocks.

    Raises:
        OSError: The disk refused.
    """
    _sync(draft)  # before the rename: else a power failure can leave the name without its content
    draft.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
