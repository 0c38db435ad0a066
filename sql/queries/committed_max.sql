-- The highest id in the table, 0 if it is empty.
SELECT coalesce(max(id), 0) FROM events
