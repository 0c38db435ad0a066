-- The lowest id in the table, null if it is empty.
SELECT min(id) FROM events
