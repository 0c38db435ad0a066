-- The time of the first row from an id on. (id, time)
SELECT id, coalesce(ts, created_at) FROM events WHERE id >= %(id)s ORDER BY id LIMIT 1
