-- Events by bucket and class between two whole minutes: from the counts, and rows above them one by one, as of
-- one moment. (bucket's start in seconds, class, events), then the number of
-- rows looked at one by one, without a bucket, if counting has begun.
WITH tail AS MATERIALIZED (
  SELECT type, coalesce(ts, created_at) AS ts FROM events
  WHERE id >= (SELECT high FROM orchestrator_counted) LIMIT %(tail)s + 1
), counted AS (
  SELECT minute AS ts, class, events FROM orchestrator_counts
  WHERE minute >= %(start)s::timestamptz AND minute < %(end)s::timestamptz
  UNION ALL
  SELECT ts, CASE WHEN split_part(type, '.', 1) = ANY (%(classes)s) THEN split_part(type, '.', 1)
                  ELSE 'other' END, 1
  FROM tail WHERE ts >= %(start)s::timestamptz AND ts < %(end)s::timestamptz
)
SELECT floor(extract(epoch FROM ts) / %(bucket_s)s)::bigint * %(bucket_s)s, class, sum(events)::bigint
FROM counted GROUP BY 1, 2
UNION ALL SELECT NULL, NULL, (SELECT count(*) FROM tail) FROM orchestrator_counted
ORDER BY 1, 2
