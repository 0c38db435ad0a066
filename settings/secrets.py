"""Refuses a settings file that holds secrets and that every account of the machine may read.

Token hashes are none: 256 random bits cannot be found from their SHA-256.
"""

import re
import stat
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .errors import PARAMETER, Fault
from .keys import KeyPath, leaves

_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH
# Variables of agents: what they hold only they know, but names tell.
_SECRET_NAME: Final = re.compile(
    r"(password|passwd|secret|token|api_?key|private_?key)", re.IGNORECASE
)


def exposed(file: Path, values: Any) -> Fault | None:
    """What is wrong if ``file`` holds secrets and others may read it; None if all is well."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return None
    if not mode & _OTHERS:
        return None
    keys = sorted(".".join(path) for path, value in leaves(values) if _is_secret(path, value))
    if not keys:
        return None
    problem = f"a secret in a file that every account here may read or change ({file})"
    hint = f"chmod o-rw {file}"
    return Fault(file.name, ", ".join(keys), problem, hint)


def _is_secret(path: KeyPath, value: object) -> bool:
    if not isinstance(value, str):
        return False
    if "://" in value:
        try:
            return bool(urlsplit(value).password) or PARAMETER.search(value) is not None
        except ValueError:
            return False
    return bool(value) and "env" in path[:-1] and _SECRET_NAME.search(path[-1]) is not None
