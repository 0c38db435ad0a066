-- Counted chunks between two ids whose rows are not those that were counted. By the primary key alone.
WITH there AS (
  SELECT id / %(chunk)s * %(chunk)s AS first_id, count(*) AS events, sum(id) AS ids
  FROM events WHERE id >= %(start)s AND id < %(end)s GROUP BY 1
), known AS (
  SELECT first_id, sum(events) AS events, sum(ids) AS ids
  FROM orchestrator_counts WHERE first_id >= %(start)s AND first_id < %(end)s GROUP BY 1
)
SELECT first_id FROM there FULL JOIN known USING (first_id)
WHERE (there.events, there.ids) IS DISTINCT FROM (known.events, known.ids)
ORDER BY first_id
