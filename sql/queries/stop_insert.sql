-- The stop's first document, unless there is one. (xmin)
INSERT INTO orchestrator_state (key, value) VALUES ('killswitch_status', %(value)s::jsonb)
ON CONFLICT (key) DO NOTHING RETURNING xmin::text
