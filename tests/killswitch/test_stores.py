"""The table of copies (stop-stores.json) through the actor: a disk, PostgreSQL and Valkey."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from orchestrator.killswitch.latch import GUARD_NAME, GUARD_SLOT_BYTES
from orchestrator.killswitch.slots import SlotFile
from orchestrator.protocol.document import write_document
from orchestrator.protocol.ways import Way
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.stop_row import StopRow
from pydantic import SecretStr

from .conftest import STOP_KEY, Desk
from .table import CASES, Expected, document, expected, latched, remote

pytestmark = [pytest.mark.slow, pytest.mark.db, pytest.mark.redis]

Case = dict[str, str]
Wait = Callable[..., None]
HIDDEN = "hidden by row security"
DAMAGED_ROW = '"dam aged"'
"""What is no JSON at all cannot be in the row."""


class Site:
    """A daemon's copies before its start."""

    def __init__(self, desk: Desk, pg_url: str, servers: dict[str, Any]) -> None:
        self.desk, self._pg_url, self._servers = desk, pg_url, servers
        self.all_rows = desk.database
        desk.folder.mkdir()

    def prepare(self, case: Case) -> None:
        """Have the copies hold what the table says."""
        row, xmin = self._row(case["postgres"])
        text = case["latch"]
        state = document("released(S)", row, xmin) if text.startswith("released(S)") else None
        latched(text, self.desk.folder, state)
        if "guard's slots" in case:
            slots = SlotFile(self.desk.folder / GUARD_NAME, GUARD_SLOT_BYTES)
            slots.write(write_document(document(case["guard's slots"])))
        for data in remote(case["redis"]).documents:
            with self.desk.redis as client:
                client.set(STOP_KEY, data)
        for name, server in self._servers.items():
            if case[name] == "away":
                server.kill()

    def bring_back(self, case: Case) -> None:
        """Whatever is away or hidden can be asked again."""
        for name, server in self._servers.items():
            if case[name] == "away":
                server.start()
        if case["postgres"] == HIDDEN:
            statement = b"CREATE POLICY seen ON orchestrator_state USING (true)"
            self._execute(statement)

    def _row(self, text: str) -> tuple[bytes, str]:
        """Write the row; returns it and its xmin, as PostgreSQL says them."""
        if text == HIDDEN:
            self._hide()
        for data in remote(text).documents:
            self.desk.put_row(DAMAGED_ROW if text == "damaged" else data.decode())
        found = StopRow(self.all_rows).read()
        return found.value or b"", found.xmin

    def _hide(self) -> None:
        self._execute(b"DROP ROLE IF EXISTS app_of_stores")
        self._execute(b"CREATE ROLE app_of_stores LOGIN")
        self._execute(b"GRANT ALL ON ALL TABLES IN SCHEMA public TO app_of_stores")
        self._execute(b"ALTER TABLE orchestrator_state ENABLE ROW LEVEL SECURITY")
        user, _, place = self._pg_url.partition("://")[2].partition("@")
        assert user, "the URL names a role"
        url = f"postgresql://app_of_stores@{place}"
        self.desk.database = Database(PostgresSettings(url=SecretStr(url)))
        self.desk.database.open()

    def _execute(self, statement: bytes) -> None:
        with self.all_rows.transaction() as connection:
            connection.execute(statement)

    def close(self) -> None:
        """No server stays away, no role stays behind."""
        for server in self._servers.values():
            server.start()
        self.desk.stop()
        if self.desk.database is not self.all_rows:
            self.desk.database.close()
            self._execute(b"DROP OWNED BY app_of_stores")
            self._execute(b"DROP ROLE app_of_stores")


@pytest.fixture
def site(
    new_desk: Callable[[], Desk], pg_url: str, postgres_server: Any, redis_server: Any
) -> Iterator[Site]:
    made = Site(new_desk(), pg_url, {"postgres": postgres_server, "redis": redis_server})
    yield made
    made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: " | ".join(case.values()))
def test_every_row_of_the_table(case: Case, site: Site, wait_until: Wait) -> None:
    desk, wanted = site.desk, expected(case)
    site.prepare(case)

    desk.start()

    wait_until(lambda: is_as_expected(desk, wanted), limit_s=20)
    if wanted.status == "unknown":
        assert desk.view().unknown is not None
    in_force = {trip.id for trip in desk.view().stop.trips}
    site.bring_back(case)
    wait_until(lambda: have_met(desk), limit_s=30)  # all copies have met
    assert {trip.id for trip in desk.view().stop.trips} == in_force
    if in_force:
        assert desk.permit() is None
    else:
        wait_until(lambda: desk.permit() is not None)
        assert desk.status == "inactive"
    desk.restart()
    wait_until(lambda: have_met(desk), limit_s=20)
    assert {trip.id for trip in desk.view().stop.trips} == in_force


def is_as_expected(desk: Desk, wanted: Expected) -> bool:
    """Once it has read what it can; before that the state is unknown for another reason."""
    view = desk.view()
    if "not been asked" in (view.unknown or "") or "not been read" in (view.unknown or ""):
        return False
    made = {trip.id: trip for trip in view.stop.trips if trip.way in (Way.DAMAGE, Way.SQL)}
    damages = {trip.triggered_by for trip in made.values() if trip.way is Way.DAMAGE}
    names = {trip.id for trip in view.stop.trips} - made.keys()
    is_foreign = any(trip.way is Way.SQL for trip in made.values())
    return Expected(view.status, names, damages, is_foreign) == wanted


def have_met(desk: Desk) -> bool:
    """Whether latch, row and key hold all that is known."""
    known = desk.memory.stop
    return desk.view().unknown is None and all(
        copy.held == known for copy in (desk.latch, desk.row, desk.link)
    )
