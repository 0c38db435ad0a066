"""The stop's row, also as row security and other programs leave it."""

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database
from orchestrator.sql.stop_row import StopRow

pytestmark = pytest.mark.db


def test_no_row_is_absent(database: Database) -> None:
    text = StopRow(database).read()

    assert (text.value, text.xmin, text.hidden) == (None, "", False)


def test_it_is_written_only_as_it_was_read(database: Database) -> None:
    row = StopRow(database)

    first = row.write(b'{"a": 1}', xmin="")
    assert row.write(b'{"a": 2}', xmin="") is None
    assert first is not None
    second = row.write(b'{"a": 2}', xmin=first)
    assert row.write(b'{"a": 3}', xmin=first) is None

    text = row.read()
    assert (text.value, text.xmin) == (b'{"a": 2}', second)


@pytest.mark.parametrize(
    "host",
    [
        "ALTER TABLE orchestrator_state ADD CONSTRAINT c CHECK (value ->> 'enabled' <> 'true')",
        "CREATE RULE r AS ON INSERT TO orchestrator_state DO INSTEAD NOTHING",
        "ALTER TABLE orchestrator_state ALTER COLUMN key TYPE varchar(3)",
    ],
)
def test_a_stop_that_the_table_refuses_is_set_aside(
    database: Database, admin: Connection, host: str
) -> None:
    admin.execute(host.encode())
    row = StopRow(database)

    assert row.write(b'{"enabled": true}', xmin="") is None

    assert row.refused is not None
    assert database.refusals.totals["orchestrator_state"] == 1


def test_an_update_that_a_policy_hides_is_a_refusal(
    under_row_security: Callable[[str], StopRow], admin: Connection
) -> None:
    row = under_row_security("true")
    first = row.write(b'{"a": 1}', xmin="")
    admin.execute("CREATE POLICY q ON orchestrator_state AS RESTRICTIVE FOR UPDATE USING (false)")

    assert first is not None
    assert row.write(b'{"a": 2}', xmin=first) is None
    assert row.refused == "a trigger, a rule or row security keeps it out"


@pytest.fixture
def under_row_security(
    pg_url: str, admin: Connection, open_database: Callable[[str], Database]
) -> Callable[[str], StopRow]:
    """The row as a role sees it that a policy restricts."""

    def make(policy: str) -> StopRow:
        role = f"r{urlsplit(pg_url).path.strip('/')}"
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
        admin.execute(f"GRANT ALL ON orchestrator_state TO {role}".encode())
        admin.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}".encode())
        admin.execute(b"ALTER TABLE orchestrator_state ENABLE ROW LEVEL SECURITY")
        admin.execute(f"CREATE POLICY p ON orchestrator_state USING ({policy})".encode())
        parts = urlsplit(pg_url)
        netloc = f"{role}:x@{parts.hostname}:{parts.port}"
        return StopRow(open_database(parts._replace(netloc=netloc).geturl()))

    return make


def test_a_row_that_row_security_hides_is_hidden(
    database: Database, under_row_security: Callable[[str], StopRow]
) -> None:
    StopRow(database).write(b'{"enabled": true}', xmin="")

    text = under_row_security("key <> 'killswitch_status'").read()

    assert (text.value, text.hidden) == (None, True)


def test_without_a_row_a_policy_that_allows_it_hides_nothing(
    database: Database, under_row_security: Callable[[str], StopRow]
) -> None:
    row = under_row_security("true")

    assert row.read().hidden is False
    assert StopRow(database).read().value is None  # the probe has left nothing
