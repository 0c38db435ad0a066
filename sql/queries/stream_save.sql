-- Note how far a stream has been read, within the transaction that stores what was read.
INSERT INTO orchestrator_stream (name, generation, last_id, entries_read, read_at)
VALUES (%(name)s, %(generation)s, %(last_id)s, %(entries_read)s,
        to_timestamp(%(read_at_ms)s::double precision / 1000))
ON CONFLICT (name) DO UPDATE SET
  generation = excluded.generation, last_id = excluded.last_id,
  entries_read = excluded.entries_read, read_at = excluded.read_at
