-- Teams, owners, profiles, renewal policies, issuers.

-- :list teams
-- :sort created_at timestamptz c.created_at
-- :unique c.id
-- :desc
SELECT c.id, c.name, c.description, c.created_at, c.updated_at
FROM teams c;

-- :name team_get
-- :audited
-- :also team_lock FOR NO KEY UPDATE
SELECT id, name, description, created_at, updated_at FROM teams WHERE id = $1;

-- :name team_insert
INSERT INTO teams (id, name, description) VALUES ($1, $2, $3)
RETURNING created_at, updated_at;

-- :name team_update
UPDATE teams SET name = $2, description = $3, updated_at = now()
WHERE id = $1 RETURNING updated_at;

-- :name team_delete
DELETE FROM teams WHERE id = $1;

-- :list owners
-- :filter team_id text c.team_id = $
-- :sort created_at timestamptz c.created_at
-- :unique c.id
-- :desc
SELECT c.id, c.name, c.email, c.team_id, c.created_at, c.updated_at
FROM owners c;

-- :name owner_get
-- :audited
-- :also owner_lock FOR NO KEY UPDATE
SELECT id, name, email, team_id, created_at, updated_at
FROM owners WHERE id = $1;

-- :name owner_insert
INSERT INTO owners (id, name, email, team_id) VALUES ($1, $2, $3, $4)
RETURNING created_at, updated_at;

-- :name owner_update
UPDATE owners SET name = $2, email = $3, team_id = $4, updated_at = now()
WHERE id = $1 RETURNING updated_at;

-- :name owner_delete
DELETE FROM owners WHERE id = $1;

-- :list profiles
-- :sort created_at timestamptz c.created_at
-- :unique c.id
-- :desc
SELECT c.id, c.name, c.description, c.allowed_key_algorithms,
	c.max_ttl_seconds, c.allowed_ekus, c.required_san_patterns,
	c.required_csr_attributes, c.spiffe_uri_pattern, c.allow_short_lived,
	c.must_staple, c.acme_auth_mode, c.enabled, c.created_at, c.updated_at
FROM certificate_profiles c;

-- :name profile_get
-- :audited
-- :also profile_lock FOR NO KEY UPDATE
SELECT c.id, c.name, c.description, c.allowed_key_algorithms,
	c.max_ttl_seconds, c.allowed_ekus, c.required_san_patterns,
	c.required_csr_attributes, c.spiffe_uri_pattern, c.allow_short_lived,
	c.must_staple, c.acme_auth_mode, c.enabled, c.created_at, c.updated_at
FROM certificate_profiles c WHERE c.id = $1;

-- :name profile_insert
INSERT INTO certificate_profiles (id, name, description,
	allowed_key_algorithms, max_ttl_seconds, allowed_ekus,
	required_san_patterns, required_csr_attributes, spiffe_uri_pattern,
	allow_short_lived, must_staple, acme_auth_mode, enabled)
VALUES ($1, $2, $3, $4::jsonb, $5, $6::text[], $7::text[], $8::text[], $9,
	$10::boolean, $11::boolean, $12, $13::boolean)
RETURNING created_at, updated_at;

-- :name profile_update
UPDATE certificate_profiles SET name = $2, description = $3,
	allowed_key_algorithms = $4::jsonb, max_ttl_seconds = $5,
	allowed_ekus = $6::text[], required_san_patterns = $7::text[],
	required_csr_attributes = $8::text[], spiffe_uri_pattern = $9,
	allow_short_lived = $10::boolean, must_staple = $11::boolean,
	acme_auth_mode = $12, enabled = $13::boolean, revision = revision + 1,
	updated_at = now()
WHERE id = $1 RETURNING updated_at;

-- :name profile_delete
DELETE FROM certificate_profiles WHERE id = $1;

-- :list renewal_policies
-- :sort name text c.name
-- :unique c.id
SELECT c.id, c.name, c.renewal_window_days, c.auto_renew, c.max_retries,
	c.retry_interval_seconds,
	array_to_json(c.alert_thresholds_days)::text AS alert_thresholds_days,
	c.certificate_profile_id, c.alert_channels, c.alert_severity_map,
	c.created_at, c.updated_at
FROM renewal_policies c;

-- :name renewal_policy_get
-- :audited
-- :also renewal_policy_lock FOR NO KEY UPDATE
SELECT c.id, c.name, c.renewal_window_days, c.auto_renew, c.max_retries,
	c.retry_interval_seconds,
	array_to_json(c.alert_thresholds_days)::text AS alert_thresholds_days,
	c.certificate_profile_id, c.alert_channels, c.alert_severity_map,
	c.created_at, c.updated_at
FROM renewal_policies c WHERE c.id = $1;

-- :name renewal_policy_free_id
-- The first of the ids $1 that nobody has.
SELECT i.id FROM unnest($1::text[]) WITH ORDINALITY i(id, k)
WHERE NOT EXISTS (SELECT FROM renewal_policies p WHERE p.id = i.id)
ORDER BY i.k LIMIT 1;

-- :name renewal_policy_insert
INSERT INTO renewal_policies (id, name, renewal_window_days, auto_renew,
	max_retries, retry_interval_seconds, alert_thresholds_days,
	certificate_profile_id, alert_channels, alert_severity_map)
VALUES ($1, $2, $3, $4::boolean, $5, $6,
	ARRAY(SELECT jsonb_array_elements_text($7::jsonb)::integer), $8,
	$9::jsonb, $10::jsonb)
RETURNING created_at, updated_at;

-- :name renewal_policy_update
UPDATE renewal_policies SET name = $2, renewal_window_days = $3,
	auto_renew = $4::boolean, max_retries = $5,
	retry_interval_seconds = $6, alert_thresholds_days =
		ARRAY(SELECT jsonb_array_elements_text($7::jsonb)::integer),
	certificate_profile_id = $8, alert_channels = $9::jsonb,
	alert_severity_map = $10::jsonb, updated_at = now()
WHERE id = $1 RETURNING updated_at;

-- :name renewal_policy_delete
DELETE FROM renewal_policies WHERE id = $1;

-- :list issuers
-- :sort created_at timestamptz c.created_at
-- :unique c.id
-- :desc
SELECT c.id, c.name, c.type, c.config, c.enabled, c.last_tested_at,
	c.test_status, c.source, c.hierarchy_mode, c.created_at, c.updated_at
FROM issuers c;

-- :name issuer_get
-- :audited
SELECT id, name, type, config, enabled, last_tested_at, test_status, source,
	hierarchy_mode, created_at, updated_at
FROM issuers WHERE id = $1;

-- :name issuer_lock
SELECT id, name, type, config, encrypted_config, enabled, last_tested_at,
	test_status, source, hierarchy_mode, created_at, updated_at
FROM issuers WHERE id = $1 FOR NO KEY UPDATE;

-- :name issuer_insert
INSERT INTO issuers (id, name, type, config, encrypted_config, enabled)
VALUES ($1, $2, $3, $4::jsonb, $5::bytea, $6::boolean)
RETURNING created_at, updated_at, test_status, source;

-- :name issuer_update
-- Another CA file means another CA: what is kept of the old one goes.
UPDATE issuers SET name = $2, type = $3, config = $4::jsonb,
	encrypted_config = $5::bytea, enabled = $6::boolean,
	ca_cert_pem = CASE WHEN config -> 'ca_cert_path'
		IS DISTINCT FROM $4::jsonb -> 'ca_cert_path' THEN NULL
		ELSE ca_cert_pem END,
	source = 'database', updated_at = now()
WHERE id = $1 RETURNING updated_at, source;

-- :name issuer_delete
DELETE FROM issuers WHERE id = $1;

-- :name issuer_tested
UPDATE issuers SET test_status = $2, last_tested_at = now() WHERE id = $1;

-- :name installation_get
SELECT seal_salt, poll_seconds FROM installation;
