-- The first and the last row of a partition: (first id, its time, last id, latest time). Twenty rows at the
-- end, lest one with an odd time stands for all.
SELECT first.id, first.ts, last.id, last.ts
FROM (SELECT id, coalesce(ts, created_at) AS ts FROM {name} ORDER BY id LIMIT 1) AS first,
     (SELECT max(id) AS id, max(ts) AS ts FROM (
        SELECT id, coalesce(ts, created_at) AS ts FROM {name} ORDER BY id DESC LIMIT 20) AS newest) AS last
