"""``selftest``."""

import os
from dataclasses import replace

import click

from ...protocol.rehearsal import wants_test
from ..client.rest import Client
from ..doctor.check_results import show
from ..local_settings import Place, read_settings
from ..options import Invocation, command, confirm, pass_invocation
from .killswitch import place_of


@command(
    "selftest",
    examples="""
        orc selftest
        orc selftest --killswitch
        ORCHESTRATOR_ENV=test orc selftest
    """,
)
@click.option("--killswitch", is_flag=True, help="Trip and release the killswitch too.")
@click.option("--redis-url", envvar="REDIS_URL", help="The bus.  [by the settings of this folder]")
@pass_invocation
def selftest_command(invocation: Invocation, *, killswitch: bool, redis_url: str | None) -> int:
    """Send one of everything through a running daemon.

    An agent of its own beats and publishes, and is expected in the registry, over REST and on the
    live stream. Exit code 0: all arrived, 1: with warnings, 2: something is missing.

    With ORCHESTRATOR_ENV=test (or NODE_ENV=test) a daemon of its own, on embedded servers in a
    temporary folder, is started, tested with the killswitch, and gone afterwards.
    """
    if not wants_test(os.environ):
        return _tested(invocation, _redis_url(redis_url), killswitch=killswitch)
    from ..doctor.own_daemon import own_daemon

    with own_daemon() as places:
        own = replace(invocation, url=places.http, context=None, sources={})
        own = replace(own, token_file=None, token=None, yes=True)
        return _tested(own, places.redis, killswitch=True)


def _tested(invocation: Invocation, redis_url: str, *, killswitch: bool) -> int:
    from ..doctor.selftest import SelfTest

    with Client.of(invocation) as client:
        if killswitch:
            effect = "trading stops for a moment and is released again"
            confirm(invocation, f"{place_of(client.get('/health'))}: {effect}.")
        test = SelfTest(client, redis_url, limit_s=invocation.timeout)
        results = list(test.run(killswitch=killswitch))
    return show("selftest", results, invocation.screen)


def _redis_url(given: str | None) -> str:
    if given and given != "embedded":
        return given
    return Place(read_settings(None)).needed_redis_url()
