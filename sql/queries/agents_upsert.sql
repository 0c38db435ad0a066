-- Write many agents at once, in the order of their ids (two such statements cannot deadlock).
INSERT INTO agents (id, name, agent_group, status, last_beat, last_error)
SELECT * FROM unnest(%(ids)s::text[], %(names)s::text[], %(groups)s::text[], %(statuses)s::text[],
                     %(last_beats)s::timestamptz[], %(last_errors)s::text[]) AS beat (id)
ORDER BY beat.id
ON CONFLICT (id) DO UPDATE SET
  name = excluded.name, agent_group = excluded.agent_group, status = excluded.status,
  last_beat = excluded.last_beat, last_error = excluded.last_error, updated_at = CURRENT_TIMESTAMP
