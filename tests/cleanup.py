"""Ends what a killed test run leaves behind: servers, daemons, and all they have started.

``cleanup.py <folder>…`` reads its stdin to the end, which comes when the run is gone, however it
ended. Whatever still works in one of these folders then is the run's, and ends. An orderly run
stops its servers itself, and then this; what it forgets is not hidden.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GRACE_S = 2
"""From SIGTERM to SIGKILL: a PostgreSQL that is killed leaves its shared memory."""


@contextmanager
def watched(*folders: Path) -> Iterator[None]:
    """For as long as the block runs, have somebody who ends what works in ``folders`` after us."""
    with subprocess.Popen(
        [sys.executable, __file__, *map(str, folders)],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        yield
        process.kill()


def end_all_in(folders: list[Path]) -> None:
    """End every process whose current folder is one of ``folders`` or lies below."""
    import psutil  # noqa: PLC0415 an orderly run never needs it, and it takes time

    def is_theirs(process: psutil.Process) -> bool:
        try:
            working_folder = Path(process.cwd())
        except (psutil.Error, OSError):
            return False
        return any(working_folder.is_relative_to(folder) for folder in folders)

    for stop in (psutil.Process.terminate, psutil.Process.kill):
        found = [process for process in psutil.process_iter() if is_theirs(process)]
        for process in found:
            try:
                stop(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(found, GRACE_S)


if __name__ == "__main__":
    sys.stdin.read()
    end_all_in([Path(folder) for folder in sys.argv[1:]])
