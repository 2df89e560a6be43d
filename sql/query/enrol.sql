-- Certificates that their holders ask for.

-- :name enrol_source
-- What stands behind a profile: issuer $1, certificate profile $2, owner $3 in
-- team $4 (null: the owner's), renewal policy $5; what is missing is null.
SELECT i.id AS issuer_id, i.type AS issuer_type, i.config,
	i.encrypted_config, i.enabled AS issuer_enabled, i.ca_cert_pem,
	(extract(epoch FROM i.updated_at) * 1000000)::bigint
		AS issuer_revision,
	k.ca_key_id, (SELECT string_agg(o.cert_pem, E'\n')
		FROM issuer_ca_keys l JOIN ca_keys o ON o.id = l.ca_key_id
		WHERE l.issuer_id = i.id AND NOT l.active
			AND o.not_after > now()) AS earlier_pem,
	p.id AS profile_id, p.revision AS profile_revision,
	p.enabled AS profile_enabled, p.allowed_key_algorithms,
	p.max_ttl_seconds, p.allowed_ekus, p.required_san_patterns,
	p.required_csr_attributes, p.spiffe_uri_pattern, p.must_staple,
	p.allow_short_lived, w.id AS owner_id, t.id AS team_id,
	r.id AS renewal_policy_id
FROM issuers i
LEFT JOIN issuer_ca_keys k ON k.issuer_id = i.id AND k.active
LEFT JOIN certificate_profiles p ON p.id = $2
LEFT JOIN owners w ON w.id = $3
LEFT JOIN teams t ON t.id = coalesce($4, w.team_id)
LEFT JOIN renewal_policies r ON r.id = $5
WHERE i.id = $1;

-- :name enrol_client
-- The certificate with fingerprint $1, if we issued it: why it is revoked, and
-- whether it was enrolled by a profile other than $2.
SELECT r.reason, c.source = 'EST'
	AND NOT starts_with(coalesce(c.enrolled_as, ''), $2) AS elsewhere
FROM certificate_versions v
JOIN managed_certificates c ON c.id = v.certificate_id
LEFT JOIN certificate_revocations r ON r.issuer_id = v.issuer_id
	AND r.serial_number = v.serial_number AND r.released_at IS NULL
WHERE v.fingerprint_sha256 = $1;

-- :name enrol_current
-- The newest certificate that $1 has now, unless it is revoked.
SELECT v.pem_chain
FROM managed_certificates c
JOIN LATERAL (SELECT * FROM certificate_versions o
	WHERE o.certificate_id = c.id
	ORDER BY o.created_at DESC, o.id DESC LIMIT 1) v ON true
WHERE c.enrolled_as = $1 AND c.status NOT IN ('Revoked', 'Archived')
	AND NOT EXISTS (SELECT FROM certificate_revocations r
		WHERE r.issuer_id = v.issuer_id
		AND r.serial_number = v.serial_number
		AND r.released_at IS NULL);

-- :name enrol_record
-- A record for $1, which has none, unless something stands against it; else
-- nothing, and enrol_begin tells what.  $11 and $12: the revisions of issuer
-- and profile that the intent was decided under; $14: the request known again.
-- It tells of its certificate from here on, so that it is written once: whoever
-- finds the intent makes that true, and what comes to nothing takes it back
-- (enrol_undone).
INSERT INTO managed_certificates (id, name, common_name, sans, owner_id,
	team_id, issuer_id, renewal_policy_id, certificate_profile_id, source,
	enrolled_as, tags, status, issued_at, last_renewal_at, expires_at)
SELECT $2, $3, left($4, 255), $5::text[], $6, $7, i.id, $9, $10, 'EST', $1,
	jsonb_build_object('est_profile', $13::text), 'Active', now(), now(),
	$15::timestamptz
FROM issuers i
WHERE i.id = $8 AND i.enabled
	AND (extract(epoch FROM i.updated_at) * 1000000)::bigint = $11
	AND ($10::text IS NULL OR EXISTS (SELECT FROM certificate_profiles p
		WHERE p.id = $10 AND p.enabled AND p.revision = $12::integer))
	AND NOT EXISTS (SELECT FROM jobs WHERE enrolment = $14)
ON CONFLICT DO NOTHING;

-- :name enrol_intent
-- The intent of that record $3, in the same transaction.
INSERT INTO issuance_intents (issuer_id, serial_number, certificate_id, job_id,
	profile_id, profile_revision, tbs, tbs_sha256, csr_pem)
SELECT $1, $2, id, $4, $5, $6::integer, $7::bytea, $8, $9
FROM managed_certificates WHERE id = $3;

-- :name enrol_begin
-- All that may stand against a certificate for $1, and, if nothing does, the
-- record of it and the intent, durable before the signature.  $11 and $12: the
-- revisions of issuer and profile that the intent was decided under.  $18: the
-- request known again.  A new record is as enrol_record makes it.
WITH s AS MATERIALIZED (
	SELECT i.enabled AND $11 = (extract(epoch FROM i.updated_at)
		* 1000000)::bigint AND ($10::text IS NULL OR EXISTS (
		SELECT FROM certificate_profiles p WHERE p.id = $10
			AND p.enabled AND p.revision = $12::integer)) AS fresh
	FROM issuers i WHERE i.id = $8
), old AS MATERIALIZED (
	SELECT id, status FROM managed_certificates
	WHERE enrolled_as = $1 AND status <> 'Archived'
		AND (status <> 'Revoked'
			OR revocation_reason = 'certificateHold')
), j AS MATERIALIZED (
	SELECT certificate_id, version_id FROM jobs
	WHERE enrolment = $18 AND CASE status
		WHEN 'Failed' THEN attempts < max_attempts
		WHEN 'Completed' THEN completed_at > now() - interval '1 hour'
		ELSE status <> 'Cancelled' END
	ORDER BY created_at DESC LIMIT 1
), ok AS MATERIALIZED (
	SELECT 1 AS ok FROM s WHERE s.fresh
		AND NOT EXISTS (SELECT FROM old WHERE old.status = 'Revoked')
		AND NOT EXISTS (SELECT FROM j)
), new AS (
	INSERT INTO managed_certificates (id, name, common_name, sans,
		owner_id, team_id, issuer_id, renewal_policy_id,
		certificate_profile_id, source, enrolled_as, tags, status,
		issued_at, last_renewal_at, expires_at)
	SELECT $2, $3, left($4, 255), $5::text[], $6, $7, $8, $9, $10, 'EST',
		$1, jsonb_build_object('est_profile', $19::text), 'Active',
		now(), now(), $20::timestamptz
	FROM ok WHERE NOT EXISTS (SELECT FROM old)
	ON CONFLICT (enrolled_as) WHERE status <> 'Archived'
		AND (status <> 'Revoked'
			OR revocation_reason = 'certificateHold')
		DO UPDATE SET updated_at = now()
	RETURNING id, xmax = 0 AS made
), n AS (
	INSERT INTO issuance_intents (issuer_id, serial_number, certificate_id,
		job_id, profile_id, profile_revision, tbs, tbs_sha256, csr_pem)
	SELECT $8, $14, c.id, $13, $10, $12::integer, $15::bytea, $16, $17
	FROM ok, (SELECT id FROM old UNION ALL SELECT id FROM new) c
	RETURNING certificate_id
)
SELECT coalesce((SELECT fresh FROM s), false) AS fresh,
	(SELECT certificate_id FROM n) AS certificate_id,
	coalesce((SELECT made FROM new), false) AS made,
	(SELECT status FROM old) AS status,
	(SELECT certificate_id FROM j) AS waiting_id,
	(SELECT v.pem_chain FROM certificate_versions v
		JOIN j ON j.version_id = v.id) AS pem_chain;

-- :name enrol_turn
-- Those of one record that was there before are stored one after the other: row
-- locks beside the key share locks of new intents can deadlock.
SELECT pg_advisory_xact_lock(7238, hashtext($1::text)) IS NULL;

-- :name enrol_store
-- The certificate that came of the intent; nothing if its record was just made
-- ($15) and is revoked already.
INSERT INTO certificate_versions (id, certificate_id, issuer_id, job_id,
	serial_number, not_before, not_after, fingerprint_sha256, spki_sha256,
	pem_chain, csr_pem, key_algorithm, key_size, ca_key_id)
SELECT $4, id, $2, $5, $3, $6::timestamptz, $7::timestamptz, $8, $9, $10, $11,
	$12, $13::integer, $14
FROM managed_certificates
WHERE id = $1 AND NOT ($15::boolean AND status = 'Revoked')
FOR NO KEY UPDATE
ON CONFLICT DO NOTHING;

-- :name enrol_resolve
UPDATE issuance_intents SET resolved_at = now()
WHERE issuer_id = $1 AND serial_number = $2 AND resolved_at IS NULL;

-- :name enrol_done
-- What was asked for, and that it was given.
INSERT INTO audit_events (actor, actor_type, action, resource_type,
	resource_id, details)
VALUES ($1, $2, $3, 'certificate', $4, $5::jsonb),
	($1, $2, $3 || '_success', 'certificate', $4, $5::jsonb);

-- :name enrol_stored
-- What a certificate, stored in this transaction, means for record $1 that was
-- there before.  If that was revoked meanwhile, so is this version.
WITH c AS MATERIALIZED (
	SELECT id, status, revocation_reason FROM managed_certificates
	WHERE id = $1 FOR NO KEY UPDATE
), rv AS (
	INSERT INTO certificate_revocations (id, certificate_id, issuer_id,
		ca_key_id, serial_number, reason, revoked_by, not_after)
	SELECT $2, c.id, $3, $4, $5, c.revocation_reason, $6, $7::timestamptz
	FROM c WHERE c.status = 'Revoked' AND c.revocation_reason <> ''
	ON CONFLICT DO NOTHING
	RETURNING ca_key_id
), kv AS (
	UPDATE ca_keys SET crl_wanted_at = now()
	WHERE id IN (SELECT ca_key_id FROM rv)
)
UPDATE managed_certificates m SET status = CASE
		WHEN c.status IN ('Revoked', 'Archived') THEN c.status
		ELSE 'Active' END,
	sans = $8::text[], issued_at = now(), expires_at = $7::timestamptz,
	last_renewal_at = now(), updated_at = now()
FROM c WHERE m.id = c.id;

-- :name enrol_undone
-- Record $1 was made for a certificate that there is not: it is $2.
UPDATE managed_certificates SET status = $2, issued_at = NULL,
	last_renewal_at = NULL, expires_at = NULL, updated_at = now()
WHERE id = $1 AND status = 'Active' AND NOT EXISTS (
	SELECT FROM certificate_versions WHERE certificate_id = $1);

-- :name enrol_wait
-- A worker will finish the intent of job $1; the client is to come back.
INSERT INTO jobs (id, type, certificate_id, status, csr_pem, enrolment)
VALUES ($1, 'Issuance', $2, 'Pending', $3, $4);

-- :name enrol_note
-- What need not wait for the disk: refusals, and what was fetched late.
INSERT INTO audit_events (actor, actor_type, action, resource_type,
	resource_id, details, event_category)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7)
RETURNING set_config('synchronous_commit', 'off', true);
