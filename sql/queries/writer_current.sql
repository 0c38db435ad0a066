-- Who holds the fence. (instance, host, pid, epoch, seconds since it was renewed; infinite: released)
SELECT instance, host, pid, epoch,
       CASE WHEN isfinite(renewed_at)
            THEN extract(epoch FROM clock_timestamp() - renewed_at)::float8 ELSE 'infinity' END
FROM orchestrator_writer
