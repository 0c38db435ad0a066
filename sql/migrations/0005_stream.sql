-- How far each durable stream has been read: written in the transaction that stores what was read, so
-- that an entry and its having been read are committed together or not at all.

CREATE TABLE IF NOT EXISTS orchestrator_stream (
  name TEXT PRIMARY KEY,
  generation BIGINT NOT NULL,
  last_id TEXT NOT NULL,
  entries_read BIGINT,
  read_at TIMESTAMPTZ NOT NULL
);

COMMENT ON COLUMN orchestrator_stream.generation IS
  'rises when a stream was lost and began anew: its ids may be lower then';
COMMENT ON COLUMN orchestrator_stream.entries_read IS
  'entries ever added up to last_id, as XINFO STREAM counts them; null where the server does not';
