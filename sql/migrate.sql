-- Before migrating: wait, however long, for whoever migrates now.  The lock
-- and the settings end with the connection.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET client_min_messages = warning;
SELECT pg_advisory_lock(7236431801);
CREATE TABLE IF NOT EXISTS schema_migrations (
	version    integer PRIMARY KEY,
	name       text NOT NULL,
	applied_at timestamptz NOT NULL DEFAULT now()
);
