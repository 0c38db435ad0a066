-- Say that a migration was applied.
INSERT INTO orchestrator_migrations (name, checksum) VALUES (%(name)s, %(checksum)s)
