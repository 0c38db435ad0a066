-- Who holds the fence: instance, host, pid, epoch, seconds since it was renewed (null: released).
SELECT instance, host, pid, epoch,
       CASE WHEN isfinite(renewed_at)
            THEN extract(epoch FROM clock_timestamp() - renewed_at)::float8 END AS renewed_s_ago,
       CASE WHEN isfinite(started_at)
            THEN to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') END AS started_at
FROM orchestrator_writer
