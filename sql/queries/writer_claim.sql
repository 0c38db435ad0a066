-- Take the fence, unless another instance holds it and was seen within stale_after_s.
UPDATE orchestrator_writer
SET epoch = epoch + 1, instance = %(instance)s, host = %(host)s, pid = %(pid)s,
    started_at = clock_timestamp(), renewed_at = clock_timestamp()
WHERE instance = %(instance)s
   OR renewed_at < clock_timestamp() - make_interval(secs => %(stale_after_s)s)
RETURNING epoch
