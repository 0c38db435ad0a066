-- Mark events; returns the ids that exist.
UPDATE events SET processed = true WHERE id = ANY (%(ids)s) RETURNING id
