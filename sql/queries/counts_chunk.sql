-- Count the rows of a chunk, by minute and class.
INSERT INTO orchestrator_counts (first_id, minute, class, events, ids, types)
SELECT %(first)s, minute, class, sum(events), sum(ids), jsonb_object_agg(key, events)
FROM (
  SELECT date_trunc('minute', coalesce(ts, created_at, '-infinity'), 'UTC') AS minute,
         CASE WHEN split_part(type, '.', 1) = ANY (%(classes)s) THEN split_part(type, '.', 1)
              ELSE 'other' END AS class,
         CASE WHEN type = 'heartbeat' AND source IS NOT NULL THEN E'heartbeat\x1f' || source
              ELSE type END AS key,
         count(*) AS events, sum(id) AS ids
  FROM events WHERE id >= %(first)s AND id < %(end)s
  GROUP BY 1, 2, 3
) AS by_type
GROUP BY minute, class
