-- Who did what: transitions of the stop, acts of operators, refused attempts. Rows are added and never change:
-- a trigger refuses everything else, to the owner as well (who could drop it, which nothing in a database prevents).
-- There is no hash chain: without an anchor outside this database it would prove nothing.

CREATE TABLE IF NOT EXISTS orchestrator_audit (
  id TEXT PRIMARY KEY,
  at TIMESTAMPTZ NOT NULL,
  action TEXT NOT NULL,
  outcome TEXT NOT NULL,
  actor TEXT,
  role TEXT,
  address TEXT,
  target TEXT,
  reason TEXT,
  state_from TEXT,
  state_to TEXT,
  trip_id TEXT,
  receipts JSONB,
  detail TEXT,
  request_id TEXT,
  count INTEGER NOT NULL DEFAULT 1
);

CREATE INDEX IF NOT EXISTS orchestrator_audit_action ON orchestrator_audit (action, id);

CREATE OR REPLACE FUNCTION orchestrator_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'orchestrator_audit is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE OR REPLACE TRIGGER orchestrator_audit_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON orchestrator_audit
  FOR EACH STATEMENT EXECUTE FUNCTION orchestrator_audit_refuse();
