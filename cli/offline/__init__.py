"""Export, replay and backup: work on the database and the journal."""
