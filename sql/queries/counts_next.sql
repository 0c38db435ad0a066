-- The first id from one on that has a row or a count; what lies before it is empty and needs no look.
SELECT least((SELECT min(id) FROM events WHERE id >= %(start)s),
             (SELECT min(first_id) FROM orchestrator_counts WHERE first_id >= %(start)s))
