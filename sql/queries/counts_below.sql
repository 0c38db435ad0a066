-- The last id below one.
SELECT max(id) FROM events WHERE id >= 0 AND id < %(low)s
