-- What there is up to an event: (events, first id, last id, type and time of the last, agents, keys).
SELECT count(*), min(id), max(id),
       (SELECT type || ' at ' || ts::text FROM events WHERE id <= %(up_to)s ORDER BY id DESC LIMIT 1),
       (SELECT count(*) FROM agents), (SELECT count(*) FROM orchestrator_state)
FROM events WHERE id <= %(up_to)s AND id >= %(from)s
