-- Add rows; those that are there already stay as they are. (id)
INSERT INTO orchestrator_audit (id, at, action, outcome, actor, role, address, target, reason, state_from, state_to,
                                trip_id, receipts, detail, request_id, count)
SELECT id, at, action, outcome, actor, role, address, target, reason, "from", "to",
       trip_id, receipts, detail, request_id, count
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
  id text, at timestamptz, action text, outcome text, actor text, role text, address text, target text, reason text,
  "from" text, "to" text, trip_id text, receipts jsonb, detail text, request_id text, count integer
)
ON CONFLICT (id) DO NOTHING RETURNING id
