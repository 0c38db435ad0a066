-- How far a stream has been read.
SELECT generation, last_id, entries_read, (extract(epoch FROM read_at) * 1000)::bigint
FROM orchestrator_stream WHERE name = %(name)s
