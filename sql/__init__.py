"""The SQL room: migrations, named queries, and the only modules that talk to PostgreSQL."""
