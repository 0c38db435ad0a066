-- As histogram.sql, of certain types. Counts of classes that cannot fit are not opened.
WITH tail AS MATERIALIZED (
  SELECT type, source, coalesce(ts, created_at) AS ts FROM events
  WHERE id >= (SELECT high FROM orchestrator_counted) LIMIT %(tail)s + 1
), typed AS (
  SELECT minute AS ts, class, value::bigint AS events,
         CASE WHEN starts_with(key, E'heartbeat\x1f') THEN 'heartbeat' ELSE key END AS type,
         CASE WHEN starts_with(key, E'heartbeat\x1f') THEN substr(key, 11) END AS source
  FROM orchestrator_counts CROSS JOIN LATERAL jsonb_each_text(types)
  WHERE minute >= %(start)s::timestamptz AND minute < %(end)s::timestamptz
    AND (%(fitting)s::text[] IS NULL OR class = ANY (%(fitting)s))
  UNION ALL
  SELECT ts, CASE WHEN split_part(type, '.', 1) = ANY (%(classes)s) THEN split_part(type, '.', 1)
                  ELSE 'other' END, 1, type, source
  FROM tail WHERE ts >= %(start)s::timestamptz AND ts < %(end)s::timestamptz
)
SELECT floor(extract(epoch FROM ts) / %(bucket_s)s)::bigint * %(bucket_s)s, class, sum(events)::bigint
FROM typed
WHERE type LIKE ANY (%(types)s) OR type = 'heartbeat' AND source LIKE ANY (%(heartbeats)s)
GROUP BY 1, 2
UNION ALL SELECT NULL, NULL, (SELECT count(*) FROM tail) FROM orchestrator_counted
ORDER BY 1, 2
