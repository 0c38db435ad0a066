-- Some events. (id, type, payload, ts, source, processed)
SELECT id, type, payload::text, to_char(coalesce(ts, created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
       source, coalesce(processed, false)
FROM events WHERE id = ANY (%(ids)s::bigint[])
