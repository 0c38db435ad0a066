"""``init``."""

import shutil
from pathlib import Path

import click

from ..errors import Failure
from ..options import Invocation, command, pass_invocation

SHIPPED = Path(__file__).parents[2] / "deploy"


@command("init", examples="orc init --deploy /etc/orchestrator/deploy")
@click.option(
    "--deploy",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Where to.",
)
@click.option("--force", is_flag=True, help="Replace files that differ.")
@pass_invocation
def init_command(invocation: Invocation, *, folder: Path, force: bool) -> None:
    """Write the files for systemd, PM2, Supervisor, containers, proxies and monitoring."""
    shipped = sorted(path.relative_to(SHIPPED) for path in SHIPPED.rglob("*") if path.is_file())
    shipped = [path for path in shipped if "__pycache__" not in path.parts]
    differing = [path for path in shipped if _differs(folder / path, SHIPPED / path)]
    if differing and not force:
        raise Failure(
            f"{folder} has files that differ",
            code="exists",
            cause=", ".join(map(str, differing)),
            advice="name another folder, or replace them with --force",
        )
    try:
        for path in shipped:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(SHIPPED / path, folder / path)
    except OSError as error:
        raise Failure("cannot write the files", code="not_written", cause=str(error)) from error
    row = {"folder": str(folder), "files": [str(path) for path in shipped]}
    invocation.screen.record(
        "init", row, lambda: [str(folder / path) for path in shipped], "folder"
    )


def _differs(mine: Path, shipped: Path) -> bool:
    return mine.exists() and mine.read_bytes() != shipped.read_bytes()
