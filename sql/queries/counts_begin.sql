-- Begin to count at the newest chunk: what is older is filled in from there downwards.
INSERT INTO orchestrator_counted (low, high)
SELECT newest, newest
FROM (SELECT coalesce(max(id), 0) / %(chunk)s * %(chunk)s AS newest FROM events WHERE id >= 0) AS chunks
ON CONFLICT (singleton) DO NOTHING
