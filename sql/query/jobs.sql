-- Jobs as operators see them.

-- :list jobs
-- :filter status         text c.status = $
-- :filter type           text c.type = $
-- :filter certificate_id text c.certificate_id = $
-- :filter target_id      text c.target_id = $
-- :filter agent_id       text c.agent_id = $
-- :sort created_at timestamptz c.created_at
-- :unique c.id
-- :desc
SELECT c.id, c.type, c.certificate_id, c.target_id, c.agent_id, c.status,
	c.attempts, c.max_attempts, c.last_error, c.scheduled_at, c.started_at,
	c.completed_at, c.created_at, c.verification_status, c.verified_at,
	c.verification_error, c.verification_fingerprint
FROM jobs c;

-- :name job_get
-- :audited
SELECT id, type, certificate_id, target_id, agent_id, status, attempts,
	max_attempts, last_error, scheduled_at, started_at, completed_at,
	created_at, verification_status, verified_at, verification_error,
	verification_fingerprint
FROM jobs WHERE id = $1;

-- :name job_cancel
-- Guarded by the state it was seen in; the certificate it renewed rests again.
-- The certificate is locked first, as by those who issue and renew.
WITH held AS MATERIALIZED (
	SELECT id FROM managed_certificates WHERE id = (
		SELECT certificate_id FROM jobs WHERE id = $1)
	FOR NO KEY UPDATE
), j AS (
	UPDATE jobs SET status = 'Cancelled', status_at = now(),
		completed_at = now(), leased_until = NULL
	WHERE id = $1 AND (SELECT count(*) FROM held) = 1 AND status IN (
		'Pending', 'Running', 'AwaitingCSR', 'AwaitingApproval')
	RETURNING id, type, certificate_id
), c AS (
	UPDATE managed_certificates c SET status = CASE
			WHEN c.expires_at IS NULL THEN 'Pending'
			WHEN c.expires_at <= now() THEN 'Expired'
			ELSE 'Active' END,
		updated_at = now()
	FROM j WHERE c.id = j.certificate_id AND j.type <> 'Deployment'
		AND c.status = 'RenewalInProgress'
		AND NOT EXISTS (SELECT FROM jobs o
			WHERE o.certificate_id = c.id AND o.id <> j.id
			AND o.type IN ('Issuance', 'Renewal')
			AND o.status IN ('Pending', 'AwaitingCSR',
				'AwaitingApproval', 'Running'))
)
SELECT id FROM j;

-- :name job_verify
UPDATE jobs SET verification_status = CASE WHEN $2::boolean THEN 'success'
		ELSE 'failed' END,
	verified_at = now(), verification_expected = $3,
	verification_fingerprint = $4, verification_error = left($5, 2000)
WHERE id = $1 AND type = 'Deployment' AND ($6::text IS NULL OR agent_id = $6)
	AND (target_id IS NULL OR target_id = $7)
RETURNING verified_at;

-- :name job_verification
-- :audited
SELECT id AS job_id, target_id, verification_expected AS expected_fingerprint,
	verification_fingerprint AS actual_fingerprint,
	verification_status = 'success' AS verified, verified_at,
	verification_error AS error
FROM jobs WHERE id = $1;
