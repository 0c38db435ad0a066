-- Rows and bytes by type and day (UTC), from a sample of pages: (type, day, rows, bytes of the rows).
SELECT type, to_char(coalesce(ts, created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD'),
       round(count(*) * 100 / %(percent)s::float8)::bigint,
       round(sum(pg_column_size(payload) + length(type) + coalesce(length(source), 0) + 60)
             * 100 / %(percent)s::float8)::bigint
FROM events TABLESAMPLE SYSTEM (%(percent)s::float8)
GROUP BY 1, 2
