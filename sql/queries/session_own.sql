-- Role, database or URL may have set any of these; ours are set where no pooler would give our session to
-- others. Limits of statements are each transaction's own. A server of an older version knows not all.
SELECT set_config(name, value, false)
FROM (VALUES
  ('statement_timeout', '0'), ('lock_timeout', '30s'), ('transaction_timeout', '0'),
  ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'),
  ('default_transaction_isolation', 'read committed'), ('default_transaction_deferrable', 'off'),
  ('quote_all_identifiers', 'off'), ('row_security', 'on')
) AS ours (name, value)
WHERE current_setting(name, true) IS NOT NULL;
