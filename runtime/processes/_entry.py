"""What a child process runs first: it ties its life to its parent's, then becomes its program.

``python -I -S _entry.py <parent's pid> <program> <argument>…``

A signal at the parent's death can only be asked for by the child itself; doing it here,
after ``exec``, needs no Python code between fork and exec, where a lock that another
thread held would never be released. Standard library only, and little of it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From ``<linux/prctl.h>``."""
EXIT_CANNOT_RUN = 127
"""As shells have it."""


def die_with(parent_pid: int) -> None:
    """Be killed when the parent ends; at once if it has ended already. Linux only.

    It is SIGKILL, since the successor of the parent will restart this program.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Become the program of the command line."""
    die_with(int(sys.argv[1]))
    program = sys.argv[2:]
    try:
        os.execvp(program[0], program)  # noqa: S606 - that is its purpose
    except OSError as error:
        sys.stderr.write(f"cannot run {program[0]}: {error.strerror}\n")
        sys.exit(EXIT_CANNOT_RUN)


if __name__ == "__main__":
    main()
