-- Revocation and what is published about it: one CRL and one OCSP responder
-- for each CA key.

-- Every CA, which is a key and a name, that signs or signed for an issuer: it
-- has one CRL and one OCSP responder, whoever signs with it.  An issuer whose
-- CA file is replaced has a new one; the old one goes on publishing until the
-- last certificate it signed has expired.
CREATE TABLE ca_keys (
	-- SHA-256 of the subject and the public key info.
	id              text PRIMARY KEY,
	-- As addresses in certificates have it.
	name            text NOT NULL UNIQUE
	                GENERATED ALWAYS AS (left(id, 16)) STORED,
	cert_pem        text NOT NULL,		-- the CA, then those above it
	key_ref         text NOT NULL,		-- as the key holder knows it
	subject         bytea NOT NULL,		-- Name, DER
	not_after       timestamptz NOT NULL,
	-- All it signed has expired, and a last CRL was made since.
	closed          boolean NOT NULL DEFAULT false,
	-- The number of the newest CRL of any scope: it only grows.
	crl_number      bigint NOT NULL DEFAULT 0,
	-- When a revocation asks for a new CRL; null: the schedule will do.
	crl_wanted_at   timestamptz DEFAULT now(),
	-- A worker is at it, and until when the others must leave it alone.
	crl_leased_until timestamptz,
	updated_at      timestamptz NOT NULL DEFAULT now(),
	created_at      timestamptz NOT NULL DEFAULT now()
);

-- What each issuer signs with, and signed with before.  Several may have the
-- same CA.  One that has certificates is never deleted.
CREATE TABLE issuer_ca_keys (
	issuer_id       text NOT NULL REFERENCES issuers ON DELETE CASCADE,
	ca_key_id       text NOT NULL REFERENCES ca_keys ON DELETE CASCADE,
	active          boolean NOT NULL DEFAULT true,
	created_at      timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (issuer_id, ca_key_id)
);
CREATE INDEX issuer_ca_keys_ca_key_id ON issuer_ca_keys (ca_key_id);
CREATE UNIQUE INDEX issuer_ca_keys_one_active ON issuer_ca_keys (issuer_id)
	WHERE active;

-- Null until the worker that opens the issuer knows its key.
ALTER TABLE certificate_versions
	ADD COLUMN ca_key_id text REFERENCES ca_keys ON DELETE RESTRICT;
CREATE INDEX certificate_versions_ca_serial
	ON certificate_versions (ca_key_id, serial_number);
CREATE INDEX certificate_versions_unassigned
	ON certificate_versions (issuer_id) WHERE ca_key_id IS NULL;

CREATE TABLE certificate_revocations (
	id               text PRIMARY KEY,
	certificate_id   text NOT NULL REFERENCES managed_certificates
	                 ON DELETE RESTRICT,
	issuer_id        text NOT NULL REFERENCES issuers ON DELETE RESTRICT,
	ca_key_id        text REFERENCES ca_keys ON DELETE RESTRICT,
	serial_number    text NOT NULL,
	-- RFC 5280 section 5.3.1, those a leaf can have.
	reason           text NOT NULL CHECK (reason IN ('unspecified',
	                 'keyCompromise', 'caCompromise', 'affiliationChanged',
	                 'superseded', 'cessationOfOperation',
	                 'certificateHold', 'privilegeWithdrawn',
	                 'aACompromise')),
	revoked_by       text NOT NULL,
	revoked_at       timestamptz NOT NULL DEFAULT now(),
	-- Taken off hold: not revoked any more, but a delta CRL has to say so.
	released_at      timestamptz,
	-- Of the certificate: when its entry may leave the CRL.
	not_after        timestamptz NOT NULL,
	-- The certificate says that no CRL will tell (RFC 9608); OCSP does.
	unlisted         boolean NOT NULL DEFAULT false,
	-- Its entry stood on a CRL made after it expired: now it may go.
	last_listed_at   timestamptz,
	issuer_notified  boolean NOT NULL DEFAULT false,
	notify_attempts  integer NOT NULL DEFAULT 0,
	notify_at        timestamptz NOT NULL DEFAULT now(),
	notify_error     text NOT NULL DEFAULT '',
	created_at       timestamptz NOT NULL DEFAULT now(),
	UNIQUE (issuer_id, serial_number)
);
CREATE INDEX certificate_revocations_certificate
	ON certificate_revocations (certificate_id);
CREATE INDEX certificate_revocations_crl
	ON certificate_revocations (ca_key_id, serial_number);
CREATE INDEX certificate_revocations_last
	ON certificate_revocations (ca_key_id, not_after)
	WHERE last_listed_at IS NULL AND released_at IS NULL;
CREATE INDEX certificate_revocations_unassigned
	ON certificate_revocations (issuer_id) WHERE ca_key_id IS NULL;
CREATE INDEX certificate_revocations_notify
	ON certificate_revocations (notify_at) WHERE NOT issuer_notified;

-- Does V surely say itself that no CRL will tell of it (RFC 9608)?  Its profile
-- was for such when it was issued.
CREATE FUNCTION has_no_rev_avail(v certificate_versions) RETURNS boolean
LANGUAGE sql STABLE
RETURN v.not_after - v.not_before <= interval '65 minutes' AND EXISTS (
	SELECT FROM managed_certificates m
	JOIN certificate_profiles p ON p.id = m.certificate_profile_id
	WHERE m.id = v.certificate_id AND p.allow_short_lived
		AND p.max_ttl_seconds BETWEEN 1 AND 3599
		AND p.updated_at < v.created_at);

-- The newest CRL of each scope: "full", "delta", "shard-<n>".
CREATE TABLE crls (
	ca_key_id     text NOT NULL REFERENCES ca_keys ON DELETE CASCADE,
	scope         text NOT NULL,
	number        bigint NOT NULL,
	base_number   bigint,			-- of a delta: the list it adds to
	base_update   timestamptz,		-- and the thisUpdate of that
	this_update   timestamptz NOT NULL,
	next_update   timestamptz NOT NULL,
	der           bytea NOT NULL,
	sha256        text NOT NULL,
	revoked_count integer NOT NULL,
	generated_at  timestamptz NOT NULL DEFAULT now(),
	duration_ms   integer NOT NULL,
	PRIMARY KEY (ca_key_id, scope)
);
-- Serial numbers are random: to compress them only takes time.
ALTER TABLE crls ALTER COLUMN der SET STORAGE EXTERNAL;

CREATE TABLE crl_generation_events (
	seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	ca_key_id     text NOT NULL,
	crl_number    bigint NOT NULL,
	duration_ms   integer NOT NULL,
	revoked_count integer NOT NULL,
	started_at    timestamptz NOT NULL DEFAULT now(),
	succeeded     boolean NOT NULL,
	error         text NOT NULL DEFAULT ''
);
CREATE INDEX crl_generation_events_ca_key_id
	ON crl_generation_events (ca_key_id, seq DESC);

-- A revocation is never forgotten: it is released, or its certificate expires.
CREATE FUNCTION certificate_revocations_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.not_after > now() THEN
		RAISE EXCEPTION 'certificate_revocations keeps what has not '
			'expired';
	END IF;
	RETURN OLD;
END $$;
CREATE TRIGGER keep_unexpired BEFORE DELETE ON certificate_revocations
	FOR EACH ROW EXECUTE FUNCTION certificate_revocations_refuse();

-- Delegated OCSP signers (RFC 6960 section 4.2.2.2): the newest one signs,
-- the one before may still be in caches.
CREATE TABLE ocsp_responders (
	id            text PRIMARY KEY,
	ca_key_id     text NOT NULL REFERENCES ca_keys ON DELETE CASCADE,
	cert_pem      text NOT NULL,
	cert_serial   text NOT NULL,
	sealed_key    bytea NOT NULL,
	key_alg       text NOT NULL,
	not_before    timestamptz NOT NULL,
	not_after     timestamptz NOT NULL,
	rotated_from  text,
	created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ocsp_responders_newest
	ON ocsp_responders (ca_key_id, created_at DESC);
