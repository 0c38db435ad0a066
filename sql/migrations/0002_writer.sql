-- The fence: one row that names the daemon that may write. Every storing transaction reads it
-- FOR SHARE and stores nothing under another epoch; who takes over raises the epoch FOR UPDATE, and so
-- waits for the transactions under way. (An advisory lock would not survive a transaction pooler.)

CREATE TABLE IF NOT EXISTS orchestrator_writer (
  singleton BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (singleton),
  epoch BIGINT NOT NULL,
  instance TEXT NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  started_at TIMESTAMPTZ NOT NULL,
  renewed_at TIMESTAMPTZ NOT NULL
);

INSERT INTO orchestrator_writer (epoch, instance, host, pid, started_at, renewed_at)
VALUES (0, '', '', 0, '-infinity', '-infinity')
ON CONFLICT (singleton) DO NOTHING;
