-- What was applied. (name, checksum, applied_at)
SELECT name, checksum, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
FROM orchestrator_migrations ORDER BY name
