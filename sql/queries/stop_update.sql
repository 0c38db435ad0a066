-- The stop's next document, unless another one was written since. (xmin)
UPDATE orchestrator_state SET value = %(value)s::jsonb, updated_at = CURRENT_TIMESTAMP
WHERE key = 'killswitch_status' AND xmin::text = %(xmin)s RETURNING xmin::text
