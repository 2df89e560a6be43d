-- Revoking, and taking off hold.

-- :name revoke_candidates
-- What revoking certificate $1, or its serial $2 alone, would touch.
SELECT count(*) AS versions,
	count(*) FILTER (WHERE v.not_after > now()) AS unexpired,
	count(*) FILTER (WHERE v.not_after > now() AND r.id IS NOT NULL
		AND r.reason <> 'certificateHold') AS revoked,
	count(*) FILTER (WHERE v.not_after > now() AND r.id IS NOT NULL
		AND r.reason = 'certificateHold') AS held
FROM certificate_versions v
LEFT JOIN certificate_revocations r ON r.issuer_id = v.issuer_id
	AND r.serial_number = v.serial_number AND r.released_at IS NULL
WHERE v.certificate_id = $1 AND ($2::text IS NULL OR v.serial_number = $2);

-- :name revoke
-- All unexpired versions of certificate $1, or serial $2 alone, for reason $3.
-- One on hold may become revoked for good, never the other way.  Its CRL is
-- wanted within $5 seconds; it tells of no version that surely says noRevAvail.
-- The certificate is revoked when no version of it is left, and its open work
-- ends then.
WITH r AS (
	INSERT INTO certificate_revocations AS old (id, certificate_id,
		issuer_id, ca_key_id, serial_number, reason, revoked_by,
		not_after, unlisted)
	SELECT $6 || '-' || row_number() OVER (ORDER BY v.serial_number), $1,
		v.issuer_id, v.ca_key_id, v.serial_number, $3, $4, v.not_after,
		has_no_rev_avail(v)
	FROM certificate_versions v
	WHERE v.certificate_id = $1 AND v.not_after > now()
		AND ($2::text IS NULL OR v.serial_number = $2)
	ON CONFLICT (issuer_id, serial_number) DO UPDATE SET
		reason = excluded.reason, revoked_by = excluded.revoked_by,
		revoked_at = now(), released_at = NULL, last_listed_at = NULL,
		issuer_notified = false, notify_attempts = 0, notify_at = now()
	WHERE old.released_at IS NOT NULL OR old.reason = 'certificateHold'
	RETURNING serial_number, ca_key_id
), k AS (
	UPDATE ca_keys SET crl_wanted_at = least(crl_wanted_at,
		now() + make_interval(secs => $5))
	WHERE id IN (SELECT ca_key_id FROM r)
), c AS (
	UPDATE managed_certificates c SET status = 'Revoked',
		revoked_at = now(), revocation_reason = $3, updated_at = now()
	WHERE c.id = $1 AND EXISTS (SELECT FROM r) AND NOT EXISTS (
		SELECT FROM certificate_versions v
		WHERE v.certificate_id = $1 AND v.not_after > now()
			AND v.serial_number NOT IN (
				SELECT serial_number FROM r)
			AND NOT EXISTS (SELECT FROM certificate_revocations o
				WHERE o.issuer_id = v.issuer_id
				AND o.serial_number = v.serial_number
				AND o.released_at IS NULL))
	RETURNING c.id
), j AS (
	UPDATE jobs SET status = 'Cancelled', status_at = now(),
		completed_at = now(), leased_until = NULL,
		last_error = 'certificate revoked'
	WHERE certificate_id = (SELECT id FROM c) AND status IN ('Pending',
		'AwaitingCSR', 'AwaitingApproval', 'Running')
)
SELECT serial_number FROM r ORDER BY 1;

-- :name revocation_release
-- Take what is on hold of certificate $1, or serial $2 alone, off it.
WITH r AS (
	UPDATE certificate_revocations SET released_at = now(),
		revoked_by = $3, last_listed_at = NULL
	WHERE certificate_id = $1 AND reason = 'certificateHold'
		AND released_at IS NULL
		AND ($2::text IS NULL OR serial_number = $2)
	RETURNING serial_number, ca_key_id
), k AS (
	UPDATE ca_keys SET crl_wanted_at = now()
	WHERE id IN (SELECT ca_key_id FROM r)
), c AS (
	UPDATE managed_certificates SET status = CASE
			WHEN expires_at IS NULL THEN 'Failed'
			WHEN expires_at <= now() THEN 'Expired'
			ELSE 'Active' END,
		revoked_at = NULL, revocation_reason = '', updated_at = now()
	WHERE id = $1 AND status = 'Revoked' AND EXISTS (SELECT FROM r)
)
SELECT serial_number FROM r ORDER BY 1;

-- :name revoke_many_lock
-- Up to $9 certificates of source $1 that come after id $8 and meet what is
-- not null of: profile $2, owner $3, issuer $4, team $5, agent $6 that deploys
-- them, one of the ids $7.  Locked, so that revoke_many, which begins after
-- that, sees every version of them.
SELECT c.id FROM managed_certificates c
WHERE c.source = $1 AND c.id > $8
	AND ($2::text IS NULL OR c.certificate_profile_id = $2)
	AND ($3::text IS NULL OR c.owner_id = $3)
	AND ($4::text IS NULL OR c.issuer_id = $4)
	AND ($5::text IS NULL OR c.team_id = $5)
	AND ($6::text IS NULL OR EXISTS (
		SELECT FROM certificate_target_mappings x
		JOIN deployment_targets t ON t.id = x.target_id
		WHERE x.certificate_id = c.id AND t.agent_id = $6))
	AND ($7::text[] IS NULL OR c.id = ANY ($7::text[]))
ORDER BY c.id LIMIT $9 FOR NO KEY UPDATE OF c;

-- :name revoke_many
-- Of each of the certificates $1 that is neither revoked nor archived every
-- unexpired version is revoked for reason $2 by $3; the CRLs are wanted within
-- $4 seconds; $5: ids of the rows begin with it.
WITH m AS MATERIALIZED (
	SELECT c.id, c.common_name, c.status, EXISTS (
		SELECT FROM certificate_versions v WHERE v.certificate_id =
			c.id AND v.not_after > now()) AS alive
	FROM managed_certificates c WHERE c.id = ANY ($1::text[])
), o AS (
	SELECT * FROM m WHERE alive AND status NOT IN ('Revoked', 'Archived')
), r AS (
	INSERT INTO certificate_revocations AS old (id, certificate_id,
		issuer_id, ca_key_id, serial_number, reason, revoked_by,
		not_after, unlisted)
	SELECT $5::text || '-' || row_number() OVER (ORDER BY v.id), o.id,
		v.issuer_id, v.ca_key_id, v.serial_number, $2::text, $3,
		v.not_after, has_no_rev_avail(v)
	FROM o JOIN certificate_versions v ON v.certificate_id = o.id
	WHERE v.not_after > now()
	ON CONFLICT (issuer_id, serial_number) DO UPDATE SET
		reason = excluded.reason, revoked_by = excluded.revoked_by,
		revoked_at = now(), released_at = NULL, last_listed_at = NULL,
		issuer_notified = false, notify_attempts = 0, notify_at = now()
	WHERE old.released_at IS NOT NULL OR old.reason = 'certificateHold'
	RETURNING certificate_id, serial_number, ca_key_id
), k AS (
	UPDATE ca_keys SET crl_wanted_at = least(crl_wanted_at,
		now() + make_interval(secs => $4))
	WHERE id IN (SELECT ca_key_id FROM r)
), c AS (
	UPDATE managed_certificates SET status = 'Revoked', revoked_at = now(),
		revocation_reason = $2, updated_at = now()
	WHERE id IN (SELECT id FROM o)
), j AS (
	UPDATE jobs SET status = 'Cancelled', status_at = now(),
		completed_at = now(), leased_until = NULL,
		last_error = 'certificate revoked'
	WHERE certificate_id IN (SELECT id FROM o) AND status IN ('Pending',
		'AwaitingCSR', 'AwaitingApproval', 'Running')
), a AS (
	INSERT INTO audit_events (actor, actor_type, action, resource_type,
		resource_id, details)
	SELECT $3, $6, 'certificate_revoked', 'certificate', o.id,
		jsonb_build_object('common_name', o.common_name, 'reason',
			$2, 'serials', (SELECT jsonb_agg(r.serial_number)
			FROM r WHERE r.certificate_id = o.id))
	FROM o
)
SELECT id, status, alive FROM m ORDER BY id;
