"""Starts the guard: ``python -I -S <folder> <fd of the signals' pipe>``.

Without ``site`` there is no package to import from. One is made here whose path is the folder that
holds ours: modules find each other as in the daemon, ``sys.path`` keeps to the standard library,
and nothing of ours can take the place of a module of its (``http``).
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType

PACKAGE = "orchestrator"


def main() -> None:
    """Find the modules, then guard."""
    folder = Path(__file__).resolve().parent
    sys.path = [entry for entry in sys.path if Path(entry).resolve() != folder]
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder.parent.parent)]
    sys.modules[PACKAGE] = package
    importlib.import_module(f"{PACKAGE}.killswitch.guard.process").main()


if __name__ == "__main__":
    main()
