-- Agents that other transactions than ours have written since a moment, named by a transaction id; and the
-- id that names this moment. (xid, id, name, agent_group, status, last_beat, last_error, created_at, updated_at)
SELECT now_at.xid::text, changed.*
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::xid AS xid) AS now_at
LEFT JOIN LATERAL (
  SELECT id, name, agent_group, status,
         to_char(last_beat AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), last_error,
         to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
         to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
  FROM agents
  WHERE %(since)s::xid IS NULL
     OR age(agents.xmin) <= age(%(since)s::xid) AND agents.xmin::text <> ALL (%(own)s::text[])
) AS changed ON true
ORDER BY changed.id
