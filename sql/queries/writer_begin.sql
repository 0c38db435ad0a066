-- Open a storing transaction: limits, durable commits even where the database is set otherwise, and the
-- fence (the last result: epoch, and what tells this transaction from all others afterwards).
-- Sent without parameters, as one round trip; it must stay free of them.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT set_config('statement_timeout', '60s', true), set_config('lock_timeout', '30s', true),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                  WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true);
SELECT epoch, pg_backend_pid(), pg_current_xact_id()::text FROM orchestrator_writer FOR SHARE;
