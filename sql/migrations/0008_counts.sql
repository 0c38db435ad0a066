-- How many events of each type came in each minute: what /bus/histogram adds up, so that a day of ten million
-- rows costs some thousand. Kept by ids: a chunk of ids is counted once all of ours in it are committed, and
-- counted anew (never added to) when its rows have changed. What lies above the last chunk is counted when asked.

CREATE TABLE IF NOT EXISTS orchestrator_counts (
  first_id BIGINT NOT NULL,
  minute TIMESTAMPTZ NOT NULL,
  class TEXT NOT NULL,
  events BIGINT NOT NULL,
  ids NUMERIC NOT NULL,
  types JSONB NOT NULL,
  PRIMARY KEY (first_id, minute, class)
);
CREATE INDEX IF NOT EXISTS orchestrator_counts_minute ON orchestrator_counts (minute);

COMMENT ON COLUMN orchestrator_counts.first_id IS 'of the chunk of ids; counts are of its rows alone';
COMMENT ON COLUMN orchestrator_counts.minute IS 'UTC; -infinity: rows without any time';
COMMENT ON COLUMN orchestrator_counts.class IS 'first word of the type, or other';
COMMENT ON COLUMN orchestrator_counts.ids IS 'their sum: with the count, it tells whether rows have changed';
COMMENT ON COLUMN orchestrator_counts.types IS 'type -> events; heartbeats by source (heartbeat, 0x1f, source)';

CREATE TABLE IF NOT EXISTS orchestrator_counted (
  singleton BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (singleton),
  low BIGINT NOT NULL,
  high BIGINT NOT NULL
);

COMMENT ON TABLE orchestrator_counted IS 'rows with low <= id < high are in orchestrator_counts';
