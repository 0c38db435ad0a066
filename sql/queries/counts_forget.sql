-- Before a chunk is counted anew.
DELETE FROM orchestrator_counts WHERE first_id = %(first)s
