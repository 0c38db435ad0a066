-- As events_copy, into the staging table.
COPY orchestrator_staging (id, type, source, ts, payload) FROM STDIN
