"""Trips, releases, crashes, copies that come and go, on the real actor and real servers.

What is in force after all copies have met is exactly what was tripped and not released.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from faults.proxy import Proxy
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from orchestrator.killswitch.latch import GUARD_NAME, GUARD_SLOT_BYTES
from orchestrator.killswitch.slots import SlotFile
from orchestrator.protocol.document import read_document, write_document
from orchestrator.protocol.targets import Target
from orchestrator.protocol.trips import Stop, stop_of
from orchestrator.protocol.ulid import new_ulid
from orchestrator.protocol.ways import Way
from orchestrator.runtime import ActorFailed
from stops import targets, trip

from .conftest import STOP_KEY, Desk

pytestmark = [pytest.mark.slow, pytest.mark.db, pytest.mark.redis, pytest.mark.timeout(600)]

EXAMPLES, STEPS = 3, 12
LIMIT_S = 30.0


class Places:
    """Real servers, each of which may be away."""

    def __init__(self, pg_url: str, redis_url: str, proxy: Proxy) -> None:
        self.pg_url, self._proxy = pg_url, proxy
        parts = urlsplit(redis_url)
        self.redis_url = parts._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()
        self._database = str(psycopg.conninfo.conninfo_to_dict(pg_url)["dbname"])
        self.row_away = self.key_away = False

    def come_and_go(self, *, row: bool, key: bool) -> None:
        if row != self.row_away:
            self._allow_rows(not row)
        if key != self.key_away:
            (self._proxy.refuse if key else self._proxy.accept)()
        self.row_away, self.key_away = row, key

    def _allow_rows(self, allow: bool) -> None:
        """A database that takes no connections, and has cut those that it had."""
        url = psycopg.conninfo.make_conninfo(self.pg_url, dbname="postgres")
        with psycopg.connect(url, autocommit=True) as connection:
            word = "true" if allow else "false"
            name = self._database
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {word}".encode())
            if not allow:
                cut = b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                connection.execute(cut, (name,))


class ActorMeetsCopies(RuleBasedStateMachine):
    """One desk; a subclass made by the test knows it."""

    desk: Desk
    places: Places
    wait: Callable[..., None]
    number = 0

    def __init__(self) -> None:
        super().__init__()
        kind = type(self)
        kind.number += 1
        self.places.come_and_go(row=False, key=False)
        self.desk.folder = self.desk.folder.with_name(f"meets-{kind.number}")
        self.expected: dict[str, Target] = {}
        self.released: set[str] = set()
        self.running = False
        self._start_clean()

    def _start_clean(self) -> None:
        """Nothing is left of the example before."""
        with self.desk.redis as client:
            client.delete(STOP_KEY)
        with psycopg.connect(self.places.pg_url, autocommit=True) as connection:
            connection.execute(b"DELETE FROM orchestrator_state WHERE key = 'killswitch_status'")
        self.start()
        self.until(lambda: self.desk.status == "inactive")

    def teardown(self) -> None:
        self.places.come_and_go(row=False, key=False)
        if not self.running:
            self.start()
        self.until(self.have_met)
        assert self.in_force() == self.expected
        if any(target == Target() for target in self.expected.values()):
            assert self.desk.permit() is None
        else:
            self.until(lambda: self.desk.permit() is not None)
        self.crash()
        self.start()
        self.until(self.have_met)
        assert self.in_force() == self.expected
        self.crash()

    # -- looking -----------------------------------------------------------------------------

    def until(self, condition: Callable[[], object]) -> None:
        type(self).wait(condition, limit_s=LIMIT_S)

    def in_force(self) -> dict[str, Target]:
        return {known.id: known.target for known in self.desk.view().stop.trips}

    def have_met(self) -> bool:
        desk, known = self.desk, self.desk.memory.stop
        copies: tuple[Any, ...] = (desk.latch, desk.row, desk.link)
        return desk.view().unknown is None and all(copy.held == known for copy in copies)

    def is_known(self) -> bool:
        return self.desk.view().unknown is None

    def look(self) -> None:
        """What always holds."""
        view = self.desk.view()
        ids = {known.id for known in view.stop.trips}
        assert ids >= self.expected.keys() or view.unknown is not None
        assert not ids & self.released or view.unknown is not None
        if self.expected:
            assert view.status != "inactive"

    # -- the daemon --------------------------------------------------------------------------

    @precondition(lambda self: not self.running)
    @rule()
    def start(self) -> None:
        self.desk.start()
        self.running = True
        self.look()

    @precondition(lambda self: self.running)
    @rule()
    def crash(self) -> None:
        """No last word: what is in no copy is gone."""
        actor = self.desk.actor
        assert actor is not None
        actor.kill(ActorFailed("killswitch", "a crash"))
        actor.join(10)
        actor.address.close()
        self.desk.latch.close()
        self.desk.actor, self.running = None, False

    @precondition(lambda self: self.running)
    @rule()
    def stop(self) -> None:
        self.desk.stop()
        self.running = False

    # -- trips and releases --------------------------------------------------------------------

    @precondition(lambda self: self.running)
    @rule(demand=targets)
    def trip_by_call(self, demand: Target) -> None:
        engaged = self.desk.engage(target=demand)
        assert engaged.latched
        self.expected[engaged.trip.id] = demand
        self.look()

    @precondition(lambda self: self.running)
    @rule()
    def trip_by_bus(self) -> None:
        before = self.in_force().keys()
        self.desk.hear(b'{"enabled": true, "trip_id": "%s"}' % new_ulid().encode())
        made = self.in_force().keys() - before
        self.until(lambda: all(self.desk.latch.held.find(name) for name in made))
        self.expected |= {name: Target() for name in made}
        assert len(made) == 1

    @precondition(
        lambda self: self.running and not self.places.row_away and self.desk.row.error is None
    )
    @rule()
    def row_by_another_program(self) -> None:
        if not self.is_known():
            return
        before = self.in_force().keys()
        self.desk.put_row('{"enabled": true, "reason": "by SQL"}')
        self.until(lambda: self.in_force().keys() - before)
        [made] = self.in_force().keys() - before
        self.until(lambda: self.desk.latch.held.find(made))
        self.expected[made] = Target()

    @precondition(lambda self: not self.running)
    @rule()
    def guard_trips(self) -> None:
        name = new_ulid()
        slots = SlotFile(self.desk.folder / GUARD_NAME, GUARD_SLOT_BYTES)
        before = stop_of()
        for body in slots.read().bodies:
            before = before.union(read_document(body).stop)
        slots.write(write_document(before.with_trip(trip(name, way=Way.GUARD))))
        self.expected[name] = Target()

    @precondition(lambda self: self.running and self.expected)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.expected)))
        self.desk.release(name)
        del self.expected[name]
        self.released.add(name)
        self.look()

    @precondition(lambda self: not self.places.key_away)
    @rule(empty=st.booleans())
    def forged_release(self, empty: bool) -> None:
        """A document in Redis that releases all, or knows nothing."""
        known = Stop()
        for name, target in () if empty else self.expected.items():
            known = known.with_trip(trip(name, target=target)).with_release(name, "2030-01-01")
        with self.desk.redis as client:
            client.set(STOP_KEY, write_document(known))

    # -- the servers ---------------------------------------------------------------------------

    @rule(row=st.booleans(), key=st.booleans())
    def servers_come_and_go(self, row: bool, key: bool) -> None:
        self.places.come_and_go(row=row, key=key)
        if self.running:
            self.look()

    @precondition(lambda self: self.running)
    @rule()
    def copies_meet(self) -> None:
        self.places.come_and_go(row=False, key=False)
        self.until(self.have_met)
        assert self.in_force() == self.expected

    @precondition(lambda self: self.running)
    @rule()
    def another_machine(self) -> None:
        """It starts with nothing but what the servers hold."""
        self.copies_meet()
        self.crash()
        self.desk.folder = self.desk.folder.with_name(f"{self.desk.folder.name}-moved")
        self.start()
        self.until(self.have_met)
        assert self.in_force() == self.expected


def test_what_is_in_force_is_what_was_tripped_and_not_released(
    new_desk: Callable[[], Desk], pg_url: str, redis_url: str, wait_until: Callable[..., None]
) -> None:
    parts = urlsplit(redis_url)
    with Proxy(parts.port or 6379, parts.hostname or "127.0.0.1") as proxy:
        places = Places(pg_url, redis_url, proxy)
        desk = new_desk()
        desk.redis_url = places.redis_url
        here = {"desk": desk, "places": places, "wait": staticmethod(wait_until)}
        machine = type("ActorMeetsCopiesHere", (ActorMeetsCopies,), here)
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            places.come_and_go(row=False, key=False)
