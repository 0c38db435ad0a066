-- The newest rows below an id, newest first. (the row as JSON)
SELECT jsonb_build_object(
  'id', id, 'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'action', action,
  'outcome', outcome, 'actor', actor, 'role', role, 'address', address, 'target', target, 'reason', reason,
  'from', state_from, 'to', state_to, 'trip_id', trip_id, 'receipts', receipts, 'detail', detail,
  'request_id', request_id, 'count', count
)::text
FROM orchestrator_audit
WHERE (%(before)s::text IS NULL OR id < %(before)s) AND (%(action)s::text IS NULL OR action = %(action)s)
ORDER BY id DESC LIMIT %(limit)s
