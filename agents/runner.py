"""Runs an agent as a process of its own.

``python -m orchestrator.agents.runner module:Class --id quotes-1``, which is what
``orchestrator agent run`` and process agents of the daemon come down to. Needs
neither gevent nor pykka.
"""

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from ..protocol.excerpt import shortened
from ..protocol.secret_files import BadSecretFile, secret_of
from .agent import Agent
from .errors import BadAgent, BadOptions
from .options import read_options

EXIT_FAILED = 1
"""The agent raised."""
EXIT_USAGE = 2
"""No such agent, or not such options."""


def load_agent(path: str) -> type[Agent]:
    """The class that ``module:Class`` names. Modules of the working directory are found.

    Raises:
        BadAgent: there is no such module or class, or it is no agent.
    """
    module_name, colon, class_name = path.partition(":")
    if not (module_name and colon and class_name):
        raise BadAgent(f"{path!r} is not of the form module:Class")
    if os.getcwd() not in sys.path and "" not in sys.path:  # noqa: PTH109 - as sys.path has it
        sys.path.append(os.getcwd())  # noqa: PTH109 - last, so that it shadows nothing
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError as error:
        raise BadAgent(f"cannot import {module_name}: {error}") from error
    if found is None:
        raise BadAgent(f"{module_name} has no {class_name}")
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise BadAgent(f"{path} is no subclass of orchestrator.agents.Agent")
    return found


def run_agent(  # noqa: PLR0913 - the agent's settings
    path: str,
    *,
    agent_id: str | None = None,
    name: str | None = None,
    group: str | None = None,
    redis_url: str | None = None,
    interval_s: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Run ``module:Class`` until SIGTERM or SIGINT. Blocks.

    Args:
        path: ``module:Class``.
        agent_id: as for `Agent`, like those after it.
        name: …
        group: …
        redis_url: ``REDIS_URL`` of the environment by default, or what is in the file that
            ``REDIS_URL_FILE`` names, then the class's own.
        interval_s: …
        options: …

    Raises:
        BadAgent: there is no such agent.
        BadOptions: it has not such options, or the file with its URL is of no use.
        Exception: what the agent's ``on_start`` raised.
    """
    agent = load_agent(path)(
        agent_id=agent_id,
        name=name,
        group=group,
        redis_url=redis_url or _bus_url(os.environ),
        interval_s=interval_s,
        options=options,
    )
    agent.log.info("%s is starting (process %d)", agent.agent_id, os.getpid())
    agent.run()
    agent.log.info("%s has stopped", agent.agent_id)


def _bus_url(environ: Mapping[str, str]) -> str | None:
    try:
        found = secret_of(environ, "REDIS_URL")
    except BadSecretFile as error:
        raise BadOptions(str(error)) from error
    if found is None:
        return None
    if found.warning:
        logging.getLogger("agent").warning("REDIS_URL_FILE: %s", found.warning)
    return found.text.strip()


def check_agent(path: str, options: Mapping[str, Any]) -> None:
    """Whether ``module:Class`` could be run with these options. Makes no agent.

    Raises:
        BadAgent: there is no such agent.
        BadOptions: it has not such options.
    """
    read_options(load_agent(path).Options, options)


def read_option_texts(texts: Sequence[str]) -> dict[str, Any]:
    """``key=value`` pairs and whole JSON objects as one table.

    A value is JSON if it can be read as such, otherwise a string.

    Raises:
        BadOptions: a text is neither.
    """
    table: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if text.startswith("{"):
            table.update(_json_object(text))
        elif key and equals:
            table[key] = _value(value)
        else:
            raise BadOptions(f"{text!r} is not of the form key=value")
    return table


def _json_object(text: str) -> dict[str, Any]:
    try:
        table: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise BadOptions(f"the options are no JSON: {error}") from error
    return table


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class _Stderr:
    """Text for a person: an agent runs and ends as well where it cannot be written."""

    def write(self, text: str) -> None:
        """Write at once, or not at all."""
        with suppress(OSError):
            os.write(2, text.encode(errors="backslashreplace"))


_MAX_LINE: Final = 4_000
"""Characters of a line without its traceback: others size channels and reasons."""


class _Formatter(logging.Formatter):
    """Text, with the chain of causes that a line belongs to."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """The line without a traceback."""
        chain = getattr(record, "correlation_id", None)
        line = shortened(super().formatMessage(record), _MAX_LINE)
        return line + (f" correlation_id={chain}" if chain else "")


def set_up_logging() -> None:
    """Log to stderr; ``DEBUG`` makes it talk. Below a daemon without the time, which that adds."""
    time = "" if "ORCHESTRATOR_AGENT_ID" in os.environ else "%(asctime)s "
    handler = logging.StreamHandler(_Stderr())
    handler.setFormatter(_Formatter(f"{time}%(levelname)s %(name)s %(message)s"))
    level = logging.DEBUG if os.environ.get("DEBUG") else logging.INFO
    logging.basicConfig(level=level, handlers=[handler])


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    given = _parser().parse_args(arguments)
    set_up_logging()
    try:
        if given.check:
            check_agent(given.path, read_option_texts(given.option))
            return 0
        run_agent(
            given.path,
            agent_id=given.id,
            name=given.name,
            group=given.group,
            redis_url=given.redis_url,
            interval_s=given.interval,
            options=read_option_texts(given.option),
        )
    except (BadAgent, BadOptions) as error:
        _Stderr().write(f"{error}\n")
        return EXIT_USAGE
    except Exception:
        logging.getLogger("agent").exception("%s has failed", given.path)
        return EXIT_FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orchestrator agent run", description="Run an agent until it is stopped."
    )
    parser.add_argument("path", metavar="module:Class")
    parser.add_argument("--check", action="store_true", help="only look whether it could run")
    parser.add_argument("--id", help="the agent's id; the class's own by default")
    parser.add_argument("--name", help="for people")
    parser.add_argument("--group", help="ingestion, signals, execution, …")
    parser.add_argument("--redis-url", help="the bus; REDIS_URL by default")
    parser.add_argument("--interval", type=float, metavar="SECONDS", help="between heartbeats")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of this agent; may be repeated, or be one JSON object",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
