"""Trips, releases, crashes, and copies that come and go, in any order.

The machine plays a daemon by the rules of stop.md (point 1 and "The model"): a trip is answered
once latch or row holds it, a release once the latch does, every copy is written until it holds.
What is in force after all copies have met must be exactly what was tripped and not released.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from orchestrator.killswitch.foreign import found_document
from orchestrator.killswitch.intake import Decision, Origin, Verdict, called, heard
from orchestrator.killswitch.latch import GUARD_NAME, LATCH_NAME, Latch
from orchestrator.killswitch.readings import Copy, Reading, away, found
from orchestrator.killswitch.resolve import Resolution, Unknown, resolve
from orchestrator.killswitch.slots import SLOTS, SlotFile
from orchestrator.protocol.document import read_document, write_document
from orchestrator.protocol.targets import Target
from orchestrator.protocol.trips import Stop, stop_of
from orchestrator.protocol.ways import Way
from stops import LATER, ids, targets, trip

NOW = 1_769_851_800.0
GUARD_BYTES = 4096
"""Of a slot: small, since it is written at every start."""


class Server:
    """A server that keeps one document, and may be away."""

    def __init__(self) -> None:
        self.value: bytes | None = None
        self.xmin = 0
        self.is_away = False

    def read(self) -> Reading:
        if self.is_away:
            return away("away")
        return Reading() if self.value is None else found(self.value, xmin=str(self.xmin))

    def write(self, value: bytes) -> bool:
        if not self.is_away:
            self.value, self.xmin = value, self.xmin + 1
        return not self.is_away


class CopiesMeet(RuleBasedStateMachine):
    """One daemon, its latch on a disk, PostgreSQL, Redis."""

    def __init__(self) -> None:
        super().__init__()
        self.room = TemporaryDirectory()
        self.folder = Path(self.room.name)
        self.row, self.key = Server(), Server()
        self.new_id = ids()
        self.expected: dict[str, Target] = {}
        self.released: set[str] = set()
        self.forgotten: set[str] = set()
        self.running = False
        self.stop = Stop()
        self.unknown: Unknown | None = None
        self.is_resolved = False

    @initialize()
    def first_start(self) -> None:
        self.start()
        assert self.status() == "inactive"

    def teardown(self) -> None:
        self.row.is_away = self.key.is_away = False
        if self.running:
            self.crash()
        self.start()
        self.copies_written()
        assert self.unknown is None
        assert {known.id: known.target for known in self.stop.trips} == self.expected
        self.crash()
        self.start()
        assert {known.id for known in self.stop.trips} == self.expected.keys()
        self.room.cleanup()

    # -- the daemon ------------------------------------------------------------------------------

    def origin(self, way: Way = Way.BUS) -> Origin:
        return Origin(way, NOW, None, self.new_id)

    def latch(self) -> Latch:
        return Latch(self.folder, slot_bytes=16 * 1024)

    def resolved(self, known: Stop | None = None) -> Resolution:
        return resolve(
            {
                Copy.LATCH: self.latch().read(),
                Copy.GUARD: self.latch().read_guard(),
                Copy.POSTGRES: self.row.read(),
                Copy.REDIS: self.key.read(),
            },
            self.origin(),
            known,
        )

    def take(self, resolution: Resolution) -> None:
        self.stop, self.unknown = resolution.stop, resolution.unknown
        self.is_resolved = resolution.resolved
        self.expected |= {made.id: made.target for made in resolution.made}
        if resolution.unknown is None or resolution.made or self.stop.in_force:
            self.write_latch()

    def write_latch(self) -> None:
        self.latch().write(self.stop, resolved=self.is_resolved)

    def status(self) -> str:
        if self.stop.in_force:
            return "active"
        return "unknown" if self.unknown else "inactive"

    def accept(self, decision: Decision | None, latched: bool = True) -> None:
        if decision is not None and decision.verdict is Verdict.NEW and decision.trip is not None:
            self.expected[decision.trip.id] = decision.trip.target
            self.stop = self.stop.with_trip(decision.trip)
            if latched:
                self.write_latch()

    # -- what happens ----------------------------------------------------------------------------

    @precondition(lambda self: not self.running)
    @rule()
    def start(self) -> None:
        self.running = True
        self.take(self.resolved())
        for _ in range(SLOTS):  # the guard, once the latch holds its trips
            SlotFile(self.folder / GUARD_NAME, GUARD_BYTES).write(write_document(Stop()))

    @precondition(lambda self: self.running)
    @rule()
    def look_again(self) -> None:
        if self.unknown is not None:
            self.take(self.resolved(self.stop))

    @precondition(lambda self: self.running)
    @rule()
    def crash(self) -> None:
        """Memory is gone."""
        self.running, self.stop, self.unknown = False, Stop(), None

    @precondition(lambda self: self.running)
    @rule(demand=targets)
    def trip_by_call(self, demand: Target) -> None:
        self.accept(Decision(Verdict.NEW, called("why", "anna", demand, self.origin(Way.HTTP))))

    @precondition(lambda self: self.running and not self.row.is_away and not self.key.is_away)
    @rule(demand=targets)
    def trip_while_the_disk_is_full(self, demand: Target) -> None:
        """Row and key hold it: at a start one of them may be away (stop-stores.json)."""
        made = called("why", "anna", demand, self.origin(Way.HTTP))
        for data in self.row.read().documents:
            self.stop = self.stop.union(read_document(data).stop)
        self.accept(Decision(Verdict.NEW, made), latched=False)
        self.row.write(write_document(self.stop))
        self.key.write(write_document(self.stop))

    @precondition(lambda self: self.running)
    @rule(said=st.sampled_from([b"stop", b"{}", b'{"trip_id":"x"}', b'{"enabled":false}']))
    def message(self, said: bytes) -> None:
        self.accept(heard(said, self.stop, self.origin()))

    @rule(text=st.sampled_from([b'{"enabled": true}', b'{"enabled": true, "reason": "x"}']))
    def row_by_another_program(self, text: bytes) -> None:
        """It is read while running; while the daemon is down the next start reads it."""
        if self.latch_holds_all() and self.row.write(text) and self.running:
            self.copies_written()

    @rule(where=st.sampled_from([Copy.POSTGRES, Copy.REDIS]))
    def forged_release(self, where: Copy) -> None:
        """``false`` in the row, and a document in Redis that releases everything."""
        if where is Copy.POSTGRES and self.latch_holds_all():
            self.row.write(b'{"enabled": false}')
        if where is Copy.REDIS and self.key.value is not None:
            known = read_document(self.key.value).stop
            for tripped in known.trips:
                known = known.with_release(tripped.id, LATER)
            self.key.write(write_document(known))

    @precondition(lambda self: not self.running)
    @rule()
    def guard_trips(self) -> None:
        name = self.new_id(NOW)
        slots = SlotFile(self.folder / GUARD_NAME, GUARD_BYTES)
        before = stop_of()
        for body in slots.read().bodies:
            before = before.union(read_document(body).stop)
        slots.write(write_document(before.with_trip(trip(name, way=Way.GUARD))))
        self.expected[name] = Target()

    @precondition(lambda self: self.running and self.stop.in_force)
    @rule(data=st.data(), latched=st.booleans())
    def release(self, data: st.DataObject, latched: bool) -> None:
        """Counts once the latch holds it; else nothing has changed."""
        name = data.draw(st.sampled_from([known.id for known in self.stop.trips]))
        if latched:
            self.stop = self.stop.with_release(name, LATER)
            self.write_latch()
            self.expected.pop(name)
            self.released.add(name)

    @precondition(lambda self: self.running)
    @rule()
    def copies_written(self) -> None:
        """A copy is read, united and written in one step: it may hold what is not known here."""
        for copy, server in ((Copy.POSTGRES, self.row), (Copy.REDIS, self.key)):
            for data in server.read().documents:
                sets, decision = found_document(
                    copy, data, self.stop, self.origin(), xmin=str(server.xmin)
                )
                self.stop = self.stop.union(sets)
                self.accept(decision)
            server.write(write_document(self.stop))
        self.write_latch()

    @precondition(lambda self: self.running and not (self.row.is_away or self.key.is_away))
    @rule(latch=st.booleans(), row=st.booleans(), key=st.booleans(), crash=st.booleans())
    def forget(self, latch: bool, row: bool, key: bool, crash: bool) -> None:
        """When every copy holds all; a crash may come before each of them holds less."""
        if self.unknown is not None:
            return
        self.copies_written()
        self.forgotten |= {release.trip_id for release in self.stop.releases}
        self.stop = self.stop.forget(NOW + 31 * 86_400)
        assert self.stop.releases == ()
        if latch:
            self.write_latch()
        if row:
            self.row.write(write_document(self.stop))
        if key:
            self.key.write(write_document(self.stop))
        if crash:
            self.crash()

    @rule(row=st.booleans(), key=st.booleans())
    def servers_come_and_go(self, row: bool, key: bool) -> None:
        self.row.is_away, self.key.is_away = row, key

    @precondition(lambda self: not self.key.is_away and self.latch_holds_all())
    @rule()
    def redis_is_flushed(self) -> None:
        self.key.value = None

    @rule(
        disk=st.sampled_from(["same", "new", "damaged"]),
        slot=st.integers(0, 1),
        row=st.booleans(),
        key=st.booleans(),
    )
    def restart(self, disk: str, slot: int, row: bool, key: bool) -> None:
        """Crash, and start with servers that are away; elsewhere if the row has everything."""
        if self.running:
            self.crash()
        if self.row_holds_all() and disk == "new":
            (self.folder / LATCH_NAME).unlink(missing_ok=True)
            (self.folder / GUARD_NAME).unlink(missing_ok=True)
        if self.row_holds_all() and disk == "damaged":
            self.damage_latch(slot)
        self.servers_come_and_go(row, key)
        self.start()

    def damage_latch(self, slot: int) -> None:
        path = self.folder / LATCH_NAME
        data = bytearray(path.read_bytes()) if path.exists() else bytearray()
        position = slot * len(data) // 2 + 100  # in the document, if the slot is not blank
        if data and data[position]:
            data[position] ^= 1
            path.write_bytes(data)

    def row_holds_all(self) -> bool:
        return not self.row.is_away and self.holds_all(self.row.read())

    def latch_holds_all(self) -> bool:
        return self.holds_all(self.latch().read())

    def holds_all(self, reading: Reading) -> bool:
        known = Stop()
        for data in reading.documents:
            known = known.union(read_document(data).stop)
        ended = {release.trip_id for release in known.releases} | self.forgotten
        return {held.id for held in known.trips} == self.expected.keys() and ended >= self.released

    # -- what always holds -----------------------------------------------------------------------

    @invariant()
    def it_never_says_inactive_while_anything_is_in_force(self) -> None:
        if self.running and self.expected:
            assert self.status() != "inactive"

    @invariant()
    def what_was_released_stays_released(self) -> None:
        if self.running and self.unknown is None:
            assert not {known.id for known in self.stop.trips} & self.released

    @invariant()
    def releases_are_counted_once_whatever_was_forgotten(self) -> None:
        if self.running and self.unknown is None:
            assert self.stop.release_count == len(self.released)

    @invariant()
    def a_latch_that_is_in_use_is_whole(self) -> None:
        if self.running:
            assert self.latch().read().damage == ()


CopiesMeet.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestCopiesMeet = CopiesMeet.TestCase
