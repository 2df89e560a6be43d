-- The inventory: who owns what, what may be issued, by whom, where it goes.

CREATE TABLE installation (
	only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	-- Salt of the key that seals configurations, so that every process
	-- derives the same key once.
	seal_salt  bytea NOT NULL,
	-- Seconds an agent is asked to wait between two polls.
	poll_seconds integer NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO installation (seal_salt)
VALUES (decode(replace(gen_random_uuid()::text, '-', ''), 'hex'));

CREATE TABLE teams (
	id          text PRIMARY KEY,
	name        varchar(255) NOT NULL UNIQUE,
	description text NOT NULL DEFAULT '',
	created_at  timestamptz NOT NULL DEFAULT now(),
	updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE owners (
	id         text PRIMARY KEY,
	name       varchar(255) NOT NULL,
	email      varchar(255) NOT NULL DEFAULT '',
	team_id    text REFERENCES teams ON DELETE RESTRICT,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX owners_team_id ON owners (team_id);

CREATE TABLE agents (
	id                text PRIMARY KEY,
	name              varchar(255) NOT NULL UNIQUE,
	hostname          varchar(255) NOT NULL,
	status            text NOT NULL DEFAULT 'Online'
	                  CHECK (status IN ('Online', 'Offline', 'Degraded')),
	last_heartbeat_at timestamptz,
	registered_at     timestamptz NOT NULL DEFAULT now(),
	api_key_hash      text NOT NULL UNIQUE,
	os                varchar(100) NOT NULL DEFAULT '',
	architecture      varchar(100) NOT NULL DEFAULT '',
	ip_address        varchar(45) NOT NULL DEFAULT '',
	version           varchar(50) NOT NULL DEFAULT '',
	retired_at        timestamptz,
	retired_reason    text
);
CREATE INDEX agents_registered_at ON agents (registered_at DESC, id DESC);
CREATE INDEX agents_online ON agents (last_heartbeat_at)
	WHERE status = 'Online' AND retired_at IS NULL;

CREATE TABLE certificate_profiles (
	id                      text PRIMARY KEY,
	name                    varchar(255) NOT NULL UNIQUE,
	description             text NOT NULL DEFAULT '',
	allowed_key_algorithms  jsonb NOT NULL,
	max_ttl_seconds         integer NOT NULL DEFAULT 0
	                        CHECK (max_ttl_seconds >= 0),
	allowed_ekus            text[] NOT NULL,
	required_san_patterns   text[] NOT NULL DEFAULT '{}',
	required_csr_attributes text[] NOT NULL DEFAULT '{}',
	spiffe_uri_pattern      varchar(512) NOT NULL DEFAULT '',
	allow_short_lived       boolean NOT NULL DEFAULT false,
	must_staple             boolean NOT NULL DEFAULT false,
	acme_auth_mode          text NOT NULL DEFAULT 'trust_authenticated'
	                        CHECK (acme_auth_mode IN
	                               ('trust_authenticated', 'challenge')),
	enabled                 boolean NOT NULL DEFAULT true,
	-- Grows with each change; an intent records the one it was made under.
	revision                integer NOT NULL DEFAULT 1,
	created_at              timestamptz NOT NULL DEFAULT now(),
	updated_at              timestamptz NOT NULL DEFAULT now(),
	CHECK (NOT allow_short_lived OR max_ttl_seconds < 3600)
);

CREATE TABLE renewal_policies (
	id                     text PRIMARY KEY,
	name                   varchar(255) NOT NULL UNIQUE,
	renewal_window_days    integer NOT NULL DEFAULT 30
	                       CHECK (renewal_window_days BETWEEN 1 AND 365),
	auto_renew             boolean NOT NULL DEFAULT true,
	max_retries            integer NOT NULL DEFAULT 3
	                       CHECK (max_retries BETWEEN 0 AND 10),
	retry_interval_seconds integer NOT NULL DEFAULT 60
	                       CHECK (retry_interval_seconds BETWEEN 60 AND 86400),
	alert_thresholds_days  integer[] NOT NULL DEFAULT '{30,14,7,0}',
	certificate_profile_id text REFERENCES certificate_profiles
	                       ON DELETE SET NULL,
	alert_channels         jsonb NOT NULL DEFAULT '{}',
	alert_severity_map     jsonb NOT NULL DEFAULT '{}',
	created_at             timestamptz NOT NULL DEFAULT now(),
	updated_at             timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE issuers (
	id               text PRIMARY KEY,
	name             varchar(255) NOT NULL UNIQUE,
	type             text NOT NULL,
	config           jsonb NOT NULL DEFAULT '{}',	-- secrets masked
	encrypted_config bytea,				-- all of it, sealed
	enabled          boolean NOT NULL DEFAULT true,
	last_tested_at   timestamptz,
	test_status      text NOT NULL DEFAULT 'untested'
	                 CHECK (test_status IN ('untested', 'success', 'failed')),
	source           text NOT NULL DEFAULT 'database'
	                 CHECK (source IN ('database', 'env')),
	hierarchy_mode   text NOT NULL DEFAULT 'single'
	                 CHECK (hierarchy_mode IN ('single', 'tree')),
	-- The CA certificate this issuer made for itself: once, and kept.
	ca_cert_pem      text,
	created_at       timestamptz NOT NULL DEFAULT now(),
	updated_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE managed_certificates (
	id                     text PRIMARY KEY,
	name                   varchar(255) NOT NULL UNIQUE,
	common_name            varchar(255) NOT NULL,
	sans                   text[] NOT NULL DEFAULT '{}',
	environment            varchar(50) NOT NULL DEFAULT '',
	owner_id               text NOT NULL REFERENCES owners ON DELETE RESTRICT,
	team_id                text NOT NULL REFERENCES teams ON DELETE RESTRICT,
	issuer_id              text NOT NULL REFERENCES issuers ON DELETE RESTRICT,
	renewal_policy_id      text NOT NULL REFERENCES renewal_policies
	                       ON DELETE RESTRICT,
	certificate_profile_id text REFERENCES certificate_profiles
	                       ON DELETE SET NULL,
	status                 text NOT NULL DEFAULT 'Pending'
	                       CHECK (status IN ('Pending', 'Active', 'Expiring',
	                              'Expired', 'RenewalInProgress', 'Failed',
	                              'Revoked', 'Archived')),
	expires_at             timestamptz,	-- null: never issued
	-- Of the newest version; with expires_at it caps the renewal window.
	issued_at              timestamptz,
	tags                   jsonb NOT NULL DEFAULT '{}',
	last_renewal_at        timestamptz,
	last_deployment_at     timestamptz,
	revoked_at             timestamptz,
	revocation_reason      varchar(50) NOT NULL DEFAULT '',
	source                 text NOT NULL DEFAULT ''
	                       CHECK (source IN ('', 'EST', 'SCEP', 'API', 'Agent',
	                              'ACME')),
	created_at             timestamptz NOT NULL DEFAULT now(),
	updated_at             timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX managed_certificates_created_at
	ON managed_certificates (created_at, id);
CREATE INDEX managed_certificates_expires_at
	ON managed_certificates (coalesce(expires_at, '-infinity'), id);
CREATE INDEX managed_certificates_updated_at
	ON managed_certificates (updated_at, id);
CREATE INDEX managed_certificates_common_name
	ON managed_certificates (common_name, id);
CREATE INDEX managed_certificates_status
	ON managed_certificates (status, coalesce(expires_at, '-infinity'), id);
CREATE INDEX managed_certificates_environment
	ON managed_certificates (environment, id);
CREATE INDEX managed_certificates_owner_id ON managed_certificates (owner_id);
CREATE INDEX managed_certificates_team_id ON managed_certificates (team_id);
CREATE INDEX managed_certificates_issuer_id ON managed_certificates (issuer_id);
CREATE INDEX managed_certificates_policy_id
	ON managed_certificates (renewal_policy_id);
CREATE INDEX managed_certificates_profile_id
	ON managed_certificates (certificate_profile_id);

CREATE TABLE certificate_versions (
	id                 text PRIMARY KEY,
	certificate_id     text NOT NULL REFERENCES managed_certificates
	                   ON DELETE CASCADE,
	issuer_id          text NOT NULL REFERENCES issuers ON DELETE RESTRICT,
	agent_id           text REFERENCES agents ON DELETE RESTRICT,
	job_id             text,
	serial_number      text NOT NULL,	-- lower-case hex
	not_before         timestamptz NOT NULL,
	not_after          timestamptz NOT NULL,
	fingerprint_sha256 text NOT NULL UNIQUE,
	spki_sha256        text NOT NULL,
	pem_chain          text NOT NULL,
	csr_pem            text NOT NULL DEFAULT '',
	key_algorithm      text NOT NULL DEFAULT '',
	key_size           integer NOT NULL DEFAULT 0,
	created_at         timestamptz NOT NULL DEFAULT now(),
	UNIQUE (issuer_id, serial_number)
);
CREATE INDEX certificate_versions_newest
	ON certificate_versions (certificate_id, created_at DESC, id DESC);

CREATE TABLE deployment_targets (
	id               text PRIMARY KEY,
	name             varchar(255) NOT NULL,
	type             text NOT NULL,
	agent_id         text NOT NULL REFERENCES agents ON DELETE RESTRICT,
	config           jsonb NOT NULL DEFAULT '{}',	-- secrets masked
	encrypted_config bytea,				-- all of it, sealed
	enabled          boolean NOT NULL DEFAULT true,
	last_tested_at   timestamptz,
	test_status      text NOT NULL DEFAULT 'untested'
	                 CHECK (test_status IN ('untested', 'success', 'failed')),
	source           text NOT NULL DEFAULT 'database'
	                 CHECK (source IN ('database', 'env')),
	retired_at       timestamptz,
	retired_reason   text,
	created_at       timestamptz NOT NULL DEFAULT now(),
	updated_at       timestamptz NOT NULL DEFAULT now(),
	UNIQUE (agent_id, name)
);
CREATE INDEX deployment_targets_created_at
	ON deployment_targets (created_at DESC, id DESC);

CREATE TABLE certificate_target_mappings (
	certificate_id text NOT NULL REFERENCES managed_certificates
	               ON DELETE CASCADE,
	target_id      text NOT NULL REFERENCES deployment_targets
	               ON DELETE CASCADE,
	-- The version that is live there, as the agent reported.
	version_id     text REFERENCES certificate_versions ON DELETE SET NULL,
	deployed_at    timestamptz,
	PRIMARY KEY (certificate_id, target_id)
);
CREATE INDEX certificate_target_mappings_target_id
	ON certificate_target_mappings (target_id);

-- Totals for lists: one row per combination of what lists filter by, plus one
-- row per recent change, which the workers fold.  A sum over it is exact in
-- every snapshot and costs a list nothing that grows with the inventory;
-- inserting instead of updating keeps concurrent writers apart.
CREATE TABLE certificate_counts (
	status                 text NOT NULL,
	environment            text NOT NULL,
	owner_id               text NOT NULL,
	team_id                text NOT NULL,
	issuer_id              text NOT NULL,
	certificate_profile_id text,
	n                      bigint NOT NULL
);

CREATE FUNCTION certificate_counts_add() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	IF TG_OP IN ('UPDATE', 'DELETE') THEN
		INSERT INTO certificate_counts
		SELECT status, environment, owner_id, team_id, issuer_id,
		       certificate_profile_id, -count(*)
		  FROM old_rows GROUP BY 1, 2, 3, 4, 5, 6;
	END IF;
	IF TG_OP IN ('UPDATE', 'INSERT') THEN
		INSERT INTO certificate_counts
		SELECT status, environment, owner_id, team_id, issuer_id,
		       certificate_profile_id, count(*)
		  FROM new_rows GROUP BY 1, 2, 3, 4, 5, 6;
	END IF;
	RETURN NULL;
END $$;

CREATE TRIGGER counts_insert AFTER INSERT ON managed_certificates
	REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION certificate_counts_add();
CREATE TRIGGER counts_update AFTER UPDATE ON managed_certificates
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION certificate_counts_add();
CREATE TRIGGER counts_delete AFTER DELETE ON managed_certificates
	REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION certificate_counts_add();
