-- The work queue, what was promised before a signature, alerts, the audit log.

CREATE TABLE jobs (
	id                       text PRIMARY KEY,
	type                     text NOT NULL
	                         CHECK (type IN ('Issuance', 'Renewal',
	                                'Deployment', 'Validation')),
	certificate_id           text REFERENCES managed_certificates
	                         ON DELETE CASCADE,
	target_id                text REFERENCES deployment_targets
	                         ON DELETE SET NULL,
	agent_id                 text REFERENCES agents ON DELETE SET NULL,
	-- Deployment: the version to install.  Issuance: the one that came of it.
	version_id               text REFERENCES certificate_versions
	                         ON DELETE SET NULL,
	status                   text NOT NULL
	                         CHECK (status IN ('Pending', 'AwaitingCSR',
	                                'AwaitingApproval', 'Running',
	                                'Completed', 'Failed', 'Cancelled')),
	-- When it entered that status: timeouts count from here.
	status_at                timestamptz NOT NULL DEFAULT now(),
	attempts                 integer NOT NULL DEFAULT 0,
	max_attempts             integer NOT NULL DEFAULT 3,
	last_error               text NOT NULL DEFAULT '',
	csr_pem                  text NOT NULL DEFAULT '',
	-- Not before this instant; moved on by backoff.
	scheduled_at             timestamptz NOT NULL DEFAULT now(),
	-- Who runs it, and until when the others must leave it alone.
	worker                   text NOT NULL DEFAULT '',
	leased_until             timestamptz,
	started_at               timestamptz,
	completed_at             timestamptz,
	created_at               timestamptz NOT NULL DEFAULT now(),
	verification_status      text NOT NULL DEFAULT 'pending'
	                         CHECK (verification_status IN ('pending',
	                                'success', 'failed', 'skipped')),
	verified_at              timestamptz,
	verification_fingerprint text NOT NULL DEFAULT '',
	verification_expected    text NOT NULL DEFAULT '',
	verification_error       text NOT NULL DEFAULT ''
);
CREATE INDEX jobs_created_at ON jobs (created_at DESC, id DESC);
CREATE INDEX jobs_certificate_id ON jobs (certificate_id, created_at DESC);
CREATE INDEX jobs_target_id ON jobs (target_id, created_at DESC);
-- The workers' queue, and each agent's.
CREATE INDEX jobs_issue_due ON jobs (scheduled_at)
	WHERE type IN ('Issuance', 'Renewal') AND status = 'Pending';
CREATE INDEX jobs_issue_leased ON jobs (leased_until)
	WHERE type IN ('Issuance', 'Renewal') AND status = 'Running';
CREATE INDEX jobs_agent_open ON jobs (agent_id, scheduled_at)
	WHERE status IN ('Pending', 'Running', 'AwaitingCSR');
CREATE INDEX jobs_unbound ON jobs (certificate_id)
	WHERE status = 'AwaitingCSR' AND agent_id IS NULL;
CREATE INDEX jobs_retry ON jobs (scheduled_at)
	WHERE status = 'Failed' AND attempts < max_attempts;
CREATE INDEX jobs_undeployed ON jobs (completed_at)
	WHERE type = 'Deployment' AND status = 'Failed';
CREATE INDEX jobs_waiting ON jobs (status_at)
	WHERE status IN ('AwaitingCSR', 'AwaitingApproval', 'Running');
-- Nobody, and no two workers, can ask for the same work twice.
CREATE UNIQUE INDEX jobs_one_issuance ON jobs
	(certificate_id, coalesce(agent_id, ''))
	WHERE type IN ('Issuance', 'Renewal') AND status IN ('Pending',
	      'AwaitingCSR', 'AwaitingApproval', 'Running');
CREATE UNIQUE INDEX jobs_one_deployment ON jobs (certificate_id, target_id)
	WHERE type = 'Deployment' AND status = 'Pending';

-- Serial and TBS are durable before the signature exists.  A row without
-- resolved_at is a certificate that may have been signed: whoever finds it
-- finishes the same TBS.
CREATE TABLE issuance_intents (
	issuer_id        text NOT NULL REFERENCES issuers ON DELETE RESTRICT,
	serial_number    text NOT NULL,
	certificate_id   text NOT NULL REFERENCES managed_certificates
	                 ON DELETE CASCADE,
	job_id           text NOT NULL,
	agent_id         text,
	profile_id       text,
	profile_revision integer,
	tbs              bytea NOT NULL,
	tbs_sha256       text NOT NULL,
	csr_pem          text NOT NULL,
	created_at       timestamptz NOT NULL DEFAULT now(),
	resolved_at      timestamptz,
	PRIMARY KEY (issuer_id, serial_number)
);
CREATE UNIQUE INDEX issuance_intents_open ON issuance_intents (job_id)
	WHERE resolved_at IS NULL;

CREATE TABLE notification_events (
	id             text PRIMARY KEY,
	type           text NOT NULL,
	certificate_id text REFERENCES managed_certificates ON DELETE CASCADE,
	-- Of which certificate life this speaks: a renewed one warns anew.
	expires_at     timestamptz,
	threshold_days integer,
	tier           text NOT NULL DEFAULT '',
	channel        text NOT NULL,
	recipient      text NOT NULL,
	message        text NOT NULL,
	status         text NOT NULL DEFAULT 'pending'
	               CHECK (status IN ('pending', 'sent', 'failed', 'dead',
	                      'read')),
	retry_count    integer NOT NULL DEFAULT 0,
	next_retry_at  timestamptz,
	last_error     text NOT NULL DEFAULT '',
	sent_at        timestamptz,
	created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX notification_events_once ON notification_events
	(certificate_id, type, expires_at, threshold_days, channel)
	WHERE threshold_days IS NOT NULL;
CREATE INDEX notification_events_pending ON notification_events (created_at)
	WHERE status = 'pending';

-- Append-only.  seq orders it, and the wire id "audit-<seq>" is made of it.
CREATE TABLE audit_events (
	seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	actor          text NOT NULL,
	actor_type     text NOT NULL,
	action         text NOT NULL,
	resource_type  text NOT NULL,
	resource_id    text NOT NULL,
	details        jsonb,
	event_category text NOT NULL DEFAULT 'cert_lifecycle'
	               CHECK (event_category IN ('cert_lifecycle', 'auth',
	                      'config')),
	timestamp      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_events_actor ON audit_events (actor, seq);
CREATE INDEX audit_events_action ON audit_events (action, seq);
CREATE INDEX audit_events_resource ON audit_events (resource_id, seq);
CREATE INDEX audit_events_timestamp ON audit_events USING brin (timestamp);

CREATE FUNCTION audit_events_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'audit_events is append-only';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_events
	FOR EACH ROW EXECUTE FUNCTION audit_events_refuse();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON audit_events
	FOR EACH STATEMENT EXECUTE FUNCTION audit_events_refuse();

-- What is there from the start, so that a first certificate needs no ceremony.
INSERT INTO renewal_policies (id, name) VALUES ('rp-default', 'Default');
INSERT INTO issuers (id, name, type, config, source)
VALUES ('iss-local', 'Local CA', 'GenericCA',
        '{"ca_common_name": "CertCtl Local CA"}', 'env');
