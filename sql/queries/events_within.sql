-- Ids in some ranges, the highest of each first; and which of those known are still there.
(SELECT found.id
 FROM unnest(%(lows)s::bigint[], %(highs)s::bigint[]) AS hole (low, high)
 CROSS JOIN LATERAL (
   SELECT id FROM events WHERE id BETWEEN hole.low AND hole.high ORDER BY id DESC LIMIT %(limit)s
 ) AS found
 ORDER BY id DESC LIMIT %(limit)s)
UNION
SELECT id FROM events WHERE id = ANY (%(known)s::bigint[])
