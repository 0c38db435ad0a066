import secrets
from collections.abc import Iterable

import psycopg
import pytest
from orchestrator.cli.doctor.check_results import CheckResult, Level
from orchestrator.cli.doctor.postgres import check_postgres
from orchestrator.sql.connection import connect
from orchestrator.sql.schema.migrator import migrate
from psycopg.conninfo import make_conninfo

pytestmark = pytest.mark.db


def by_name(results: Iterable[CheckResult]) -> dict[str, CheckResult]:
    return {result.name: result for result in results}


def migrated(pg_url: str) -> None:
    with connect(pg_url) as connection:
        migrate(connection)


def test_a_migrated_database_is_well(pg_url: str) -> None:
    migrated(pg_url)

    found = by_name(check_postgres(pg_url))

    assert {result.level for result in found.values()} == {Level.OK}


def test_an_empty_database_asks_for_migrate(pg_url: str) -> None:
    schema = by_name(check_postgres(pg_url))["schema"]

    assert schema.level is Level.WARNING
    assert "orchestrator db migrate" in schema.advice


def test_a_table_of_another_shape_is_named(pg_url: str) -> None:
    migrated(pg_url)
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE events DROP COLUMN source")

    schema = by_name(check_postgres(pg_url))["schema"]

    assert (schema.level, schema.said) == (Level.CRITICAL, "column events.source is missing")


def test_tables_that_cannot_be_migrated_are_critical_before_any_migration(pg_url: str) -> None:
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE agents (id bigint)")

    schema = by_name(check_postgres(pg_url))["schema"]

    assert schema.level is Level.CRITICAL
    assert schema.said.startswith("column agents.id is bigint, not text")
    assert "events" not in schema.said


def test_row_security_and_missing_privileges_are_found(pg_url: str) -> None:
    migrated(pg_url)
    role = f"reader_{secrets.token_hex(4)}"
    with psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'".encode())
        connection.execute("ALTER TABLE events ENABLE ROW LEVEL SECURITY")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}".encode())
        found = by_name(check_postgres(make_conninfo(pg_url, user=role)))
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())

    assert found["row security"].level is Level.WARNING
    assert found["postgresql privileges"].level is Level.CRITICAL
    assert "events (INSERT)" in found["postgresql privileges"].said


def test_a_wrong_database_and_an_absent_server_have_their_own_advice(pg_url: str) -> None:
    (denied,) = check_postgres(make_conninfo(pg_url, dbname="missing"))
    (away,) = check_postgres("postgresql://x@127.0.0.1:1/x")

    assert denied.advice == "correct user, password or database in PG_URL"
    assert away.advice.startswith("start it")


def test_a_database_in_another_encoding_is_critical(pg_url: str) -> None:
    name = f"latin_{secrets.token_hex(4)}"
    with psycopg.connect(pg_url, autocommit=True) as admin:
        create = f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"
        admin.execute(create.encode())
        found = by_name(check_postgres(make_conninfo(pg_url, dbname=name)))
        admin.execute(f"DROP DATABASE {name}".encode())

    assert found["postgresql encoding"].level is Level.CRITICAL
    assert "LATIN1" in found["postgresql encoding"].said
    assert "ENCODING 'UTF8'" in found["postgresql encoding"].advice
    assert found["postgresql pooler"].said == "none"
