-- The first id there is from one on, and whether there is any.
SELECT min(id) FROM events WHERE id >= %(high)s
