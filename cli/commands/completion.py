"""``completion``."""

import click

from ..options import command

PROGRAMS = ("orchestrator", "orc")


@command(
    "completion",
    examples="""
        eval "$(orc completion bash)"
        orc completion zsh > ~/.zfunc/_orc
        orc completion fish > ~/.config/fish/completions/orc.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print what makes a shell complete commands, agent ids and topics.

    For both names of the program. Agents and topics are those of the daemon that runs.
    """
    from click.shell_completion import get_completion_class

    from .. import cli

    kind = get_completion_class(shell)
    for program in PROGRAMS if kind else ():
        variable = f"_{program.upper()}_COMPLETE"
        click.echo(kind(cli, {}, program, variable).source())  # type: ignore[misc]
