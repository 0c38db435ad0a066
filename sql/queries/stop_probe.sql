-- Whether a row that is not seen is there: then this inserts nothing. To be rolled back.
INSERT INTO orchestrator_state (key, value) VALUES ('killswitch_status', '{"enabled": false}')
ON CONFLICT (key) DO NOTHING RETURNING 1
