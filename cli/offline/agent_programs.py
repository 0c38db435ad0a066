"""Whether the agents of the settings could run: class, options, program, folder."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ...actors.agent_host.child_spec import AgentSettings

LIMIT_S: Final = 30.0
"""To import a class and what it needs."""


def faults(agents: "Mapping[str, AgentSettings]") -> Iterator[str]:
    """What is wrong, a line for each fault.

    A class is loaded by a process of its own, as the daemon would start it: with its folder and
    variables, so that nothing of it is left in this one.
    """
    for agent_id, agent in agents.items():
        fault = _fault(agent_id, agent)
        if fault is not None:
            yield f"agents.{agent_id}: {fault}"


def _fault(agent_id: str, agent: "AgentSettings") -> str | None:
    from ...actors.agent_host.child_spec import process_command

    folder = agent.cwd or Path.cwd()
    if not folder.is_dir():
        return f"cwd: there is no folder {folder}"
    command = process_command(agent_id, agent, "", os.environ)
    if agent.command is not None:
        return _program_fault(agent.command[0], folder, command.environment)
    try:
        done = subprocess.run(  # noqa: S603 - as the daemon starts it
            [*command.arguments, "--check"],
            cwd=folder,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"class: {agent.class_} is not imported within {LIMIT_S:g} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return f"class {agent.class_}: {lines[-1]}"


def _program_fault(program: str, folder: Path, environment: Mapping[str, str]) -> str | None:
    path = str(folder / program) if os.sep in program else program
    found = shutil.which(path, path=environment.get("PATH", os.defpath))
    return None if found else f"command: there is no program {program}"
