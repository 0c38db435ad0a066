-- Store what waits where COPY into events is refused (row security for a role that is not its owner).
INSERT INTO events (id, type, source, ts, payload)
SELECT id, type, source, ts, payload FROM orchestrator_staging ORDER BY id
