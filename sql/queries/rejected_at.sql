-- What is known of the payload that the row at an id stands for, if that row is a rejection.
SELECT payload->>'channel', (payload->>'size')::bigint, payload->>'raw'
FROM events
WHERE id = %(id)s AND type = 'bus.rejected' AND payload->>'raw' IS NOT NULL
