"""``preflight``."""

import json
from pathlib import Path

import click

from ... import __version__
from ...protocol.timestamps import utc_now
from ..client.rest import Client
from ..doctor.check_results import exit_code, show
from ..doctor.preflight import preflight
from ..errors import Failure
from ..options import Invocation, command, pass_invocation


@command(
    "preflight",
    examples="""
        orc preflight
        orc preflight --expect quotes-1 --expect group:execution --record preflight.jsonl
    """,
)
@click.option("--expect", multiple=True, metavar="ID", help="An agent, or group:NAME, must be up.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Append the result as a line of JSON.",
)
@pass_invocation
def preflight_command(
    invocation: Invocation, *, expect: tuple[str, ...], record: Path | None
) -> int:
    """Check what has to be true before trading begins; changes nothing.

    The daemon is ready, no stop is in force, the expected agents are up. Exit code 0: all is well,
    1: with warnings, 2: do not trade.
    """
    with Client.of(invocation) as client:
        results = list(preflight(client, expect))
    if record is not None:
        line = {
            "at": utc_now(),
            "url": invocation.target.url,
            "version": __version__,
            "exit_code": int(exit_code(results)),
            "checks": [result.row for result in results],
        }
        try:
            with record.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise Failure("no record was written", code="not_written", cause=str(error)) from error
    return show("preflight", results, invocation.screen)
