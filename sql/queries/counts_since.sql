-- The time of the oldest row that is counted (rows lie in the order of time), if there are older ones.
SELECT coalesce(ts, created_at) FROM events
WHERE id >= (SELECT low FROM orchestrator_counted WHERE low > 0) AND coalesce(ts, created_at) IS NOT NULL
ORDER BY id LIMIT 1
