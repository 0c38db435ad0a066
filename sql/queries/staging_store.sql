-- Store what waits, in order of id; an id that is taken is left for staging_compare.
INSERT INTO events (id, type, source, ts, payload)
SELECT id, type, source, ts, payload FROM orchestrator_staging ORDER BY id
ON CONFLICT (id) DO NOTHING
RETURNING id
