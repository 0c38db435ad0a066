-- Take the fence, unless another instance holds it and was seen within stale_after_s: then no row.
INSERT INTO orchestrator_writer AS held (epoch, instance, host, pid, started_at, renewed_at)
VALUES (1, %(instance)s, %(host)s, %(pid)s, clock_timestamp(), clock_timestamp())
ON CONFLICT (singleton) DO UPDATE SET
  epoch = held.epoch + 1, instance = excluded.instance, host = excluded.host, pid = excluded.pid,
  started_at = excluded.started_at, renewed_at = excluded.renewed_at
WHERE held.instance = excluded.instance
   OR held.renewed_at < clock_timestamp() - make_interval(secs => %(stale_after_s)s)
RETURNING epoch
