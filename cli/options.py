"""The global options of every command, and the layout of help.

Each option may be given before or after the command, and in the environment as ``ORCHESTRATOR_*``;
the last one on the line wins.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from ..protocol.secret_files import BadSecretFile, EmptySecretFile, read_secret
from ..protocol.timestamps import timestamp
from .errors import BadUsage, Failure
from .formatting import read_moment
from .output import OUTPUTS, Screen

DEFAULT_URL = "http://127.0.0.1:8090"
DEFAULT_TIMEOUT_S = 10.0


ENV_COLORS = {"live": "red", "paper": "yellow"}
"""Of an environment's word; others are green."""


def env_styled(env: str | None) -> str:
    """The word of an environment in capitals and in its colour."""
    return click.style((env or "").upper(), fg=ENV_COLORS.get(env or "", "green"), bold=True)


@dataclass(frozen=True)
class Target:
    """The daemon that a command talks to."""

    url: str
    """Where it listens."""
    token_file: Path | None
    """A file whose first line is the access token."""
    ca_file: Path | None
    """CA bundle in PEM; None: the system's."""
    context: str | None = None
    """The name of the context that it is from; None: from options or the environment."""
    env: str | None = None
    """The context's environment."""


@dataclass
class Invocation:
    """The values of the global options of this run of a command."""

    url: str = DEFAULT_URL
    """Where the daemon listens, where no context says it."""
    context: str | None = None
    """The name of a context."""
    sources: dict[str, ParameterSource | None] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Where each given option is from."""
    token_file: Path | None = None
    """A file whose first line is the access token."""
    ca_file: Path | None = None
    """CA bundle in PEM; None: the system's."""
    token: str | None = field(default=None, repr=False)
    """The token itself; from the environment only, never from an argument."""
    output: str | None = None
    """One of `OUTPUTS`; None: the command's own default."""
    time: str | None = None
    """``utc``, ``local``, ``relative`` or ``iso``."""
    timeout: float = DEFAULT_TIMEOUT_S
    """Limit of one answer, in seconds."""
    color: str = "auto"
    """``auto``, ``always`` or ``never``."""
    quiet: bool = False
    """No notes, only results and errors."""
    verbose: bool = False
    """Log each request, and tracebacks, to stderr."""
    yes: bool = False
    """Answer questions with yes."""
    no_input: bool = False
    """Never ask."""

    @cached_property
    def screen(self) -> Screen:
        """Where results are written."""
        return Screen(output=self.output, color=self.color, time=self.time, quiet=self.quiet)

    @property
    def names_target(self) -> bool:
        """Whether the options, the environment or a context say where the daemon is."""
        target = self.target
        return "url" in self.sources or target.url != DEFAULT_URL or target.context is not None

    @property
    def line_names_target(self) -> bool:
        """Whether the command line itself says where the daemon is."""
        given = (self.sources.get("url"), self.sources.get("context"))
        return ParameterSource.COMMANDLINE in given

    @cached_property
    def target(self) -> Target:
        """The daemon: ``--url``, else ``--context``, ``ORCHESTRATOR_URL``, the current context.

        On a terminal a context's name is said on stderr, in the colour of its environment.

        Raises:
            Failure: there is no such context, or the file of them cannot be used.
        """
        own = Target(self.url, self.token_file, self.ca_file)
        line, url = ParameterSource.COMMANDLINE, self.sources.get("url")
        if url is line and self.sources.get("context") is line:
            raise BadUsage("--url and --context exclude each other")
        given = url is not None or self.url != DEFAULT_URL
        if url is line or (given and self.context is None):
            return own
        from .client.contexts import Contexts

        contexts = Contexts.load()
        if contexts.unseen:
            self.screen.warn(contexts.unseen)
        name = self.context or contexts.current
        if name is None:
            return own
        found = contexts.get(name)
        target = Target(
            found.url,
            self._for_any("token_file") or _path(found.token_file),
            self._for_any("ca_file") or _path(found.ca_file) or self.ca_file,
            name,
            found.env,
        )
        if sys.stderr.isatty() and not self.screen.for_programs:
            self.screen.note(f"{name}  {env_styled(found.env)}  {found.url}")
        return target

    def _for_any(self, name: str) -> Path | None:
        """A file for whatever context is chosen, which that of the environment is not."""
        of_environment = self.sources.get(name) is ParameterSource.ENVIRONMENT
        found: Path | None = None if of_environment else getattr(self, name)
        return found

    def access_token(self) -> str | None:
        """The token to send, if one is configured; of a context its own, never the environment's.

        Raises:
            Failure: its file cannot be read, or is empty.
        """
        token_file = self.target.token_file
        if token_file is None:
            return self.token if self.target.context is None else None
        try:
            secret = read_secret(token_file)
        except EmptySecretFile as error:
            raise BadUsage(f"the token file {error}") from error
        except BadSecretFile as error:
            raise Failure(
                f"cannot read the token file {token_file}",
                code="token_unreadable",
                cause=str(error),
                advice="name another with --token-file, or set ORCHESTRATOR_TOKEN",
            ) from error
        if secret.warning:
            self.screen.warn(secret.warning)
        return secret.text.strip()

    def may_ask(self) -> bool:
        """Whether there is a terminal to ask on."""
        return not self.no_input and sys.stdin.isatty()


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


P = ParamSpec("P")
R = TypeVar("R")


def pass_invocation(function: Callable[Concatenate[Invocation, P], R]) -> Callable[P, R]:
    """Pass the values of the global options as the first argument."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        invocation = click.get_current_context().ensure_object(Invocation)
        return function(invocation, *args, **kwargs)

    return called


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        invocation = context.ensure_object(Invocation)
        setattr(invocation, parameter.name, value)
        invocation.sources[parameter.name] = context.get_parameter_source(parameter.name)


def _global_options(*, root: bool) -> list[click.Option]:
    """New option objects: in click each belongs to one command."""

    def option(*names: str, **settings: Any) -> click.Option:
        variable = f"ORCHESTRATOR_{names[-1].lstrip('-').replace('-', '_').upper()}"
        settings.setdefault("hidden", not root)
        return click.Option(
            names,
            default=None,
            expose_value=False,
            callback=_store,
            envvar=variable if root else None,
            **settings,
        )

    def flag(*names: str, help: str) -> click.Option:  # noqa: A002 - as click names it
        return option(*names, help=help, is_flag=True, flag_value=True, type=bool)

    return [
        option("--context", metavar="NAME", help="A daemon by its name: see `context`."),
        option("--url", metavar="URL", help=f"Where the daemon listens.  [{DEFAULT_URL}]"),
        option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="A file with the access token (or set ORCHESTRATOR_TOKEN).",
        ),
        option(
            "--ca-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="CA bundle for https://, in PEM.  [the system's, or SSL_CERT_FILE]",
        ),
        option(
            "-o",
            "--output",
            type=click.Choice(OUTPUTS),
            is_eager=True,
            hidden=False,
            help="How results are written; `name` feeds xargs.",
        ),
        option(
            "--time",
            type=click.Choice(["utc", "local", "relative", "iso"]),
            help="How times are written.  [utc on a terminal, else iso]",
        ),
        option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            help=f"How long one answer may take.  [{DEFAULT_TIMEOUT_S:g}]",
        ),
        option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            is_eager=True,
            help="auto: on a terminal, unless NO_COLOR is set.",
        ),
        flag("-q", "--quiet", help="Results and errors only, no notes."),
        flag("-v", "--verbose", help="Log each request, and tracebacks."),
        flag("--yes", help="Answer questions with yes."),
        flag("--no-input", help="Never ask; what needs an answer fails."),
    ]


class _Help(click.Command):
    """Help that begins with examples, and the global options."""

    def __init__(self, *args: Any, examples: str = "", root: bool = False, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.examples = examples
        self.is_root = root
        taken = {name for parameter in self.params for name in parameter.opts}
        for option in _global_options(root=root):
            if not taken.intersection(option.opts):
                self.params.append(option)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first, then as click does."""
        if self.examples:
            program = ctx.find_root().info_name or "orchestrator"
            formatter.write("Example:\n")
            for line in self.examples.strip().splitlines():
                formatter.write(f"  {line.strip()}\n".replace("orc ", f"{program} ", 1))
            formatter.write_paragraph()
        super().format_help(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Refer to the help of the global options."""
        super().format_epilog(ctx, formatter)
        if not self.is_root and not isinstance(self, click.Group):
            program = ctx.find_root().info_name or "orchestrator"
            formatter.write_paragraph()
            formatter.write(f"Options for all commands: {program} --help\n")


class Command(_Help):
    """One command."""


class Group(_Help, click.Group):
    """A noun, whose verbs are its commands."""

    command_class = Command


def noun(name: str, *, examples: str) -> Callable[[Callable[..., Any]], Group]:
    """Declare a group of commands."""
    return click.group(name, cls=Group, examples=examples)


def command(
    name: str, *, examples: str, **settings: Any
) -> Callable[[Callable[..., Any]], Command]:
    """Declare a command of the top level."""
    return click.command(name, cls=Command, examples=examples, **settings)


def confirm(invocation: Invocation, effect: str, *, typed: str | None = None) -> None:
    """Ask for confirmation; return if the answer is yes.

    Args:
        invocation: its options decide whether to ask.
        effect: what will happen, a sentence.
        typed: a word that must be typed, instead of a mere yes.

    Raises:
        Failure: the answer was no, or there is no terminal.
    """
    if invocation.yes:
        return
    click.echo(effect, err=True)
    if not invocation.may_ask():
        raise BadUsage(
            "this needs confirmation, and there is no terminal to ask on",
            cause="stdin is not a terminal, or --no-input is set",
            advice="add --yes to confirm",
        )
    if typed is None:
        agreed = click.confirm("Go on?", err=True)
    else:
        agreed = click.prompt(f"Type {typed} to go on", default="", err=True) == typed
    if not agreed:
        raise Failure("nothing was done", code="declined", cause="it was not confirmed")


def time_option(name: str, text: str) -> str:
    """A time given on the command line, in the contract's form.

    Raises:
        BadUsage: it is not a time.
    """
    moment = read_moment(text, datetime.now(UTC))
    if moment is None:
        raise BadUsage(
            f"{name} {text!r} is not a time", advice="write 15m, 09:30 or 2026-01-31T09:30:00Z"
        )
    return timestamp(moment.timestamp())
