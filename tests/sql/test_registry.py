import pytest
from orchestrator.sql.connection import Connection, connect
from orchestrator.sql.database import Database
from orchestrator.sql.registry import AgentRegistry, AgentRow

pytestmark = pytest.mark.db

BEAT = "2026-01-31T09:30:00.123Z"


def agent(agent_id: str, status: str = "active") -> AgentRow:
    return AgentRow(agent_id, agent_id.title(), None, status, BEAT, None)


def test_agents_come_back_as_they_were_written(database: Database) -> None:
    registry = AgentRegistry(database)
    written = AgentRow("b", "Bee", "signals", "error", None, "it broke")

    registry.upsert([written, agent("a")])

    first, second = registry.load()
    assert (first.id, first.last_beat, first.agent_group) == ("a", BEAT, None)
    assert (second.name, second.agent_group, second.last_error) == ("Bee", "signals", "it broke")
    assert second.last_beat is None
    assert second.updated_at is not None


def test_a_known_agent_is_changed_but_its_first_day_stays(
    database: Database, admin: Connection
) -> None:
    registry = AgentRegistry(database)
    admin.execute("INSERT INTO agents (id, name, created_at) VALUES ('a', 'x', '2020-01-01Z')")

    registry.upsert([agent("a", "halted")])

    (row,) = registry.load()
    assert (row.name, row.status, row.created_at) == ("A", "halted", "2020-01-01T00:00:00.000Z")


def test_of_two_rows_with_one_id_the_later_counts(database: Database) -> None:
    registry = AgentRegistry(database)

    registry.upsert([agent("a"), agent("a", "halted")])

    assert [row.status for row in registry.load()] == ["halted"]


def test_writing_nobody_is_fine(database: Database) -> None:
    AgentRegistry(database).upsert([])

    assert AgentRegistry(database).load() == []


def dup(agent_id: str) -> AgentRow:
    return AgentRow(agent_id, "same name", None, "active", BEAT, None)


MENDED = "ALTER TABLE agents DROP CONSTRAINT c"
SAYS_NO = (
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 'b' THEN {} "
)
SAYS_NO += "END IF; RETURN NEW; END $$; CREATE TRIGGER t BEFORE INSERT OR UPDATE ON agents "
SAYS_NO += "FOR EACH ROW EXECUTE FUNCTION f()"


@pytest.mark.parametrize(
    "host",
    [
        "ALTER TABLE agents ADD CONSTRAINT c CHECK (id <> 'b')",
        "ALTER TABLE agents ALTER COLUMN id TYPE varchar(1), ALTER COLUMN name TYPE varchar(3)",
        SAYS_NO.format("RAISE EXCEPTION 'not this one';"),
        SAYS_NO.format("RAISE EXCEPTION 'own state' USING ERRCODE = 'ZZ123';"),
        SAYS_NO.format("RETURN NULL;"),
        SAYS_NO.format("PERFORM 1 / 0;"),
        SAYS_NO.format("PERFORM missing();"),
        SAYS_NO.format("PERFORM * FROM missing;"),
        "CREATE RULE r AS ON INSERT TO agents WHERE NEW.id = 'b' DO INSTEAD NOTHING",
    ],
)
def test_a_host_that_refuses_one_agent_refuses_no_other(
    database: Database, admin: Connection, host: str
) -> None:
    admin.execute(host.encode())
    long = AgentRow("b", "long name", None, "active", BEAT, None)

    refused = AgentRegistry(database).upsert([agent("a"), long, agent("c")])

    assert [row.id for row in refused] == ["b"]
    assert [row[0] for row in admin.execute("SELECT id FROM agents ORDER BY id")] == ["a", "c"]
    assert [report.rows for report in database.refusals.report()] == [("b",)]


def test_of_two_agents_with_one_unique_name_one_is_stored(
    database: Database, admin: Connection
) -> None:
    admin.execute("ALTER TABLE agents ADD CONSTRAINT c UNIQUE (name)")
    registry = AgentRegistry(database)

    assert [row.id for row in registry.upsert([dup("a"), dup("b"), agent("c")])] == ["b"]
    assert [row.id for row in registry.upsert([dup("b")])] == ["b"]
    admin.execute(MENDED)
    assert registry.upsert([dup("b"), agent("c")]) == [dup("b")]  # not before the minute is over

    changed = AgentRow("b", "another name", None, "active", BEAT, None)
    assert registry.upsert([changed]) == []
    assert database.refusals.report() == ()


@pytest.mark.parametrize("text", ["b\0", "\ud800"])
def test_text_that_no_wire_takes_is_a_refusal(database: Database, text: str) -> None:
    registry = AgentRegistry(database)

    refused = registry.upsert([agent("a"), AgentRow(text, "x", None, "active", BEAT, text)])

    assert [row.id for row in refused] == [text]
    assert [row.id for row in registry.load()] == ["a"]


def test_without_the_table_or_a_right_all_are_set_aside(
    database: Database, admin: Connection
) -> None:
    admin.execute("DROP TABLE agents")

    assert len(AgentRegistry(database).upsert([agent("a"), agent("b")])) == 2

    (report,) = database.refusals.report()
    assert 'relation "agents" does not exist' in report.reason


def test_what_others_write_is_seen_and_our_own_is_not(
    database: Database, admin: Connection
) -> None:
    registry = AgentRegistry(database)
    admin.execute("INSERT INTO agents (id, name) VALUES ('old', 'x')")
    assert [row.id for row in registry.load()] == ["old"]
    assert registry.changed() == []

    registry.upsert([agent("ours")])
    admin.execute("INSERT INTO agents (id, name) VALUES ('sql', 'y')")
    admin.execute("UPDATE agents SET last_beat = now() WHERE id = 'old'")

    assert [row.id for row in registry.changed()] == ["old", "sql"]
    assert registry.changed() == []


def test_a_row_is_seen_although_its_transaction_began_long_before(
    database: Database, admin: Connection, pg_url: str
) -> None:
    registry = AgentRegistry(database)
    with connect(pg_url) as slow:
        slow.execute("BEGIN")
        slow.execute("INSERT INTO agents (id, name) VALUES ('slow', 'x')")
        registry.load()
        admin.execute("INSERT INTO agents (id, name) VALUES ('fast', 'y')")
        assert [row.id for row in registry.changed()] == ["fast"]
        slow.execute("COMMIT")

    assert "slow" in [row.id for row in registry.changed()]
