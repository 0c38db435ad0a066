"""The actor every event goes through: ids, the journal, PostgreSQL."""
