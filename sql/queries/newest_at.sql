-- When the newest event of ours was received, in milliseconds since 1970. Ids from 2^52 on are others' (see
-- committed_max.sql).
SELECT floor(extract(epoch FROM ts) * 1000)::bigint FROM events
WHERE id < 4503599627370496 AND isfinite(ts) ORDER BY id DESC LIMIT 1
