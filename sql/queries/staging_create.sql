-- Where rows wait whose ids may be in the table already.
CREATE TEMPORARY TABLE orchestrator_staging (
  id BIGINT NOT NULL, type TEXT NOT NULL, source TEXT, ts TIMESTAMPTZ, payload JSONB NOT NULL
) ON COMMIT DROP
