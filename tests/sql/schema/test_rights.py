"""Who else may use our tables, where a host grants all on new ones to the roles of its web API."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from orchestrator.cli.doctor.check_results import Level
from orchestrator.cli.doctor.postgres import check_postgres
from orchestrator.sql.connection import Connection, connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.schema.migrator import migrate, shipped
from orchestrator.sql.schema.partitions import IdRate, keep_ahead
from psycopg.conninfo import make_conninfo

from .test_migrator import SEED

pytestmark = pytest.mark.db

WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "SELECT")
OURS = (
    "orchestrator_writer",
    "orchestrator_stream",
    "orchestrator_counts",
    "orchestrator_counted",
    "orchestrator_migrations",
)
ALL = ("agents", "events", "orchestrator_state", "events_default", *OURS)


@pytest.fixture
def hosted(pg_url: str) -> Iterator[Connection]:
    """A database whose host grants all on each new table to the roles of its API."""
    with connect(pg_url) as connection:
        connection.execute(
            """
            CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN;
            GRANT USAGE ON SCHEMA public TO anon, authenticated;
            ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated;
            ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon;
            ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;
            """
        )
        yield connection
        connection.execute("DROP OWNED BY anon, authenticated; DROP ROLE anon, authenticated")


@pytest.fixture
def another_role(pg_url: str, hosted: Connection) -> Iterator[Callable[[], str]]:
    """The URL of a role that owns nothing and was granted all that a host grants."""
    role = f"app_{secrets.token_hex(4)}"
    hosted.execute(f"CREATE ROLE {role} LOGIN".encode())

    def granted() -> str:
        for kind in ("TABLES", "SEQUENCES"):
            grant = f"GRANT ALL ON ALL {kind} IN SCHEMA public TO {role}"
            hosted.execute(grant.encode())
        return make_conninfo(pg_url, user=role)

    yield granted
    hosted.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def may(connection: Connection, role: str, table: str) -> set[str]:
    statement = "SELECT w FROM unnest(%s::text[]) AS w WHERE has_table_privilege(%s, %s, w)"
    return {row[0] for row in connection.execute(statement, [list(WRITES), role, table])}


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_nobody_else_may_use_a_table_that_we_made(hosted: Connection, role: str) -> None:
    migrate(hosted)

    assert {table for table in ALL if may(hosted, role, table)} == set()
    sequence = hosted.execute("SELECT has_sequence_privilege(%s, 'events_id_seq', 'USAGE')", [role])
    assert sequence.fetchone() == (False,)


def test_a_hosts_own_tables_keep_their_rights_and_their_row_security(hosted: Connection) -> None:
    hosted.execute(SEED.encode())
    before = hosted.execute("SELECT relname, relacl::text, relrowsecurity FROM pg_class").fetchall()

    migrate(hosted)

    after = hosted.execute("SELECT relname, relacl::text, relrowsecurity FROM pg_class").fetchall()
    seeds = {"agents", "events", "orchestrator_state"}
    assert [row for row in after if row[0] in seeds] == [row for row in before if row[0] in seeds]
    assert may(hosted, "anon", "events") == set(WRITES)
    assert may(hosted, "anon", "orchestrator_writer") == set()


def test_where_there_are_no_such_roles_no_row_security_is_set(pg_url: str) -> None:
    with connect(pg_url) as connection:
        migrate(connection)

        secured = connection.execute("SELECT relname FROM pg_class WHERE relrowsecurity")
        assert secured.fetchall() == []


def test_row_security_holds_when_a_host_grants_again(hosted: Connection) -> None:
    migrate(hosted)
    hosted.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO anon; SET ROLE anon")

    changed = hosted.execute("UPDATE orchestrator_writer SET epoch = 99 RETURNING epoch")

    assert changed.fetchall() == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        hosted.execute("INSERT INTO orchestrator_stream VALUES ('x', 1, '0-0', 0, now())")
    hosted.execute("RESET ROLE")


def test_a_daemon_that_is_not_the_owner_goes_on_seeing_them(
    hosted: Connection, another_role: Callable[[], str]
) -> None:
    migrate(hosted)
    database = Database(PostgresSettings(), url=another_role())

    with closing(database), closing(EventWriter(database)) as writer:
        epoch = writer.claim(instance="one", host="here", pid=1, stale_after_s=10)
        writer.renew()

    assert hosted.execute("SELECT epoch FROM orchestrator_writer").fetchone() == (epoch,)


def test_partitions_made_later_are_ours_alone(hosted: Connection, pg_url: str) -> None:
    migrate(hosted)
    hosted.execute("SELECT setval('events_id_seq', 50000000)")
    database = Database(PostgresSettings(), url=pg_url)
    with closing(database):
        database.open()
        made = keep_ahead(database, IdRate())

    assert made
    assert [may(hosted, "anon", name) for name in made] == [set()] * len(made)


def test_tables_of_a_later_migration_are_ours_alone_too(
    hosted: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(hosted)
    later = "CREATE TABLE orchestrator_later (id BIGINT)"
    monkeypatch.setitem(shipped(), "0999_later", later)

    migrate(hosted)

    assert may(hosted, "anon", "orchestrator_later") == set()
    secured = hosted.execute("SELECT relrowsecurity FROM pg_class WHERE relname LIKE '%_later'")
    assert secured.fetchone() == (True,)


def test_doctor_warns_of_tables_that_others_may_write(hosted: Connection, pg_url: str) -> None:
    def found() -> tuple[Level, str]:
        named = {finding.name: finding for finding in check_postgres(pg_url)}
        return named["postgresql other writers"].level, named["postgresql other writers"].said

    migrate(hosted)
    before = found()
    hosted.execute("GRANT INSERT, UPDATE ON agents TO anon; GRANT DELETE ON events TO PUBLIC")
    hosted.execute("GRANT ALL ON orchestrator_writer TO anon")  # row security is on there

    assert before == (Level.OK, "none")
    assert found() == (
        Level.WARNING,
        "agents (anon: INSERT, UPDATE); events (PUBLIC: DELETE)",
    )
