-- Say that the holder of this epoch lives.
UPDATE orchestrator_writer SET renewed_at = clock_timestamp() WHERE epoch = %(epoch)s RETURNING epoch
