"""``agent new``."""

from pathlib import Path

import click

from ..offline.agent_project import LANGUAGES, names_of, write_project
from ..options import Invocation, command, pass_invocation


@command(
    "new",
    examples="""
        orc agent new momentum-1
        orc agent new momentum-1 --lang node --group execution
    """,
)
@click.argument("name", metavar="NAME")
@click.option("--lang", type=click.Choice(LANGUAGES), default="python", show_default=True)
@click.option("--group", default="signals", show_default=True, help="ingestion, execution, ...")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The project's folder; ./NAME by default.",
)
@pass_invocation
def new_command(
    invocation: Invocation, *, name: str, lang: str, group: str, into: Path | None
) -> None:
    """Write the project of a new agent: it runs, stops on a signal, and has a test."""
    folder = into or Path(name)
    names = names_of(name, folder, group)
    files = [str(path) for path in write_project(folder, lang, names)]
    screen = invocation.screen
    row = {"id": name, "folder": str(folder), "language": lang, "files": files}
    screen.record("project", row, lambda: [str(folder / file) for file in files], "folder")
    if not screen.for_programs:
        program = f"orchestrator agent run {names['MODULE']}:{names['CLASS']}"
        steps = "python -m pytest" if lang == "python" else "npm install && npm test"
        if lang == "python":
            steps += "   (`python -m pip install pytest` where it is missing)"
        start = program if lang == "python" else "npm start"
        screen.note(f"test it:  cd {folder} && {steps}")
        screen.note(f"run it:   REDIS_URL=$(orc env REDIS_URL) {start}")
        screen.note("          (the address of this machine's daemon; of another one, its own)")
