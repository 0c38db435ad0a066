-- One key. (key, value, updated_at)
SELECT key, value::text, to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
FROM orchestrator_state WHERE key = %(key)s
