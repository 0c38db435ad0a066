-- What was applied, and what it was.
CREATE TABLE IF NOT EXISTS orchestrator_migrations (
  name TEXT PRIMARY KEY,
  checksum TEXT NOT NULL,
  applied_at TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
)
