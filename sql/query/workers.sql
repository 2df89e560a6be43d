-- What the clock does: issuing, renewal, retries, and the sweeps.

-- :name issuer_env_set
-- What the environment says of an issuer nobody has edited.
UPDATE issuers SET config = $2::jsonb, encrypted_config = $3::bytea,
	ca_cert_pem = NULL, updated_at = now()
WHERE id = $1 AND source = 'env';

-- :name issuer_ca_keep
-- Keep $3 in place of $2 (null: none yet); the row tells what is kept, which
-- is another's if that was quicker.
UPDATE issuers SET ca_cert_pem = CASE
	WHEN ca_cert_pem IS NOT DISTINCT FROM $2::text THEN $3::text
	ELSE ca_cert_pem END
WHERE id = $1 RETURNING ca_cert_pem;

-- :name work_claim
-- Up to $2 due jobs for worker $1, held for $3 seconds, and as many whose
-- worker died holding them.  SKIP LOCKED: workers never wait for each other.
WITH lost AS (
	SELECT id FROM jobs
	WHERE type IN ('Issuance', 'Renewal') AND status = 'Running'
		AND leased_until < now() AND attempts < max_attempts
	ORDER BY leased_until LIMIT $2 FOR UPDATE SKIP LOCKED
), fresh AS (
	SELECT id FROM jobs
	WHERE type IN ('Issuance', 'Renewal') AND status = 'Pending'
		AND scheduled_at <= now() AND csr_pem <> ''
	ORDER BY scheduled_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET status = 'Running', status_at = now(), worker = $1,
	leased_until = now() + make_interval(secs => $3)
WHERE id IN (SELECT id FROM lost UNION ALL SELECT id FROM fresh)
RETURNING id;

-- :name work_release
-- What workers held whose names begin with $1.  Job $2 came to no harm by
-- what it was begun with: that attempt does not count.
UPDATE jobs SET leased_until = '-infinity',
	attempts = attempts - CASE WHEN id = $2 THEN 1 ELSE 0 END
WHERE status = 'Running' AND type IN ('Issuance', 'Renewal')
	AND starts_with(worker, $1);

-- :name work_postpone
-- Nobody can run job $1 of worker $2 now: whoever looks in $3 seconds may try
-- again, and the attempt does not count.
UPDATE jobs SET leased_until = now() + make_interval(secs => $3),
	worker = '', attempts = attempts - 1
WHERE id = $1 AND worker = $2 AND status = 'Running';

-- :name issue_begin
-- All there is to know to run job $1, if worker $2 holds it; it does for $3
-- more seconds.  The attempt counts from here ($4 is 1), so that a job that
-- kills its workers is given up; a count that a crash of the database loses is
-- not worth a wait for the disk.  An intent that is still open belongs to the
-- issuer it was made for.
WITH j AS (
	UPDATE jobs SET attempts = attempts + $4, started_at = now(),
		leased_until = now() + make_interval(secs => $3)
	WHERE id = $1 AND worker = $2 AND status = 'Running'
	RETURNING *
)
SELECT j.id AS job_id, j.type, j.csr_pem, j.agent_id, c.id AS certificate_id,
	c.common_name, c.sans, c.status AS certificate_status,
	i.id AS issuer_id, i.type AS issuer_type, i.config,
	i.encrypted_config, i.enabled AS issuer_enabled, i.ca_cert_pem,
	(extract(epoch FROM i.updated_at) * 1000000)::bigint
		AS issuer_revision,
	p.id AS profile_id, p.revision AS profile_revision,
	p.enabled AS profile_enabled, p.allowed_key_algorithms,
	p.max_ttl_seconds, p.allowed_ekus, p.required_san_patterns,
	p.spiffe_uri_pattern, p.must_staple, p.allow_short_lived,
	n.serial_number AS intent_serial, n.tbs, n.csr_pem AS intent_csr_pem,
	n.agent_id AS intent_agent_id,
	set_config('synchronous_commit', 'off', true)
FROM j
JOIN managed_certificates c ON c.id = j.certificate_id
LEFT JOIN issuance_intents n ON n.job_id = j.id AND n.resolved_at IS NULL
JOIN issuers i ON i.id = coalesce(n.issuer_id, c.issuer_id)
LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id;

-- :name intents_open
-- Certificates that may have been signed and that no job will finish.  In no
-- order: one that cannot be finished must not hold up the rest.
SELECT n.job_id, n.certificate_id, n.serial_number AS intent_serial, n.tbs,
	n.csr_pem AS intent_csr_pem, n.agent_id AS intent_agent_id,
	i.id AS issuer_id, i.type AS issuer_type, i.config,
	i.encrypted_config, i.ca_cert_pem,
	(extract(epoch FROM i.updated_at) * 1000000)::bigint
		AS issuer_revision
FROM issuance_intents n JOIN issuers i ON i.id = n.issuer_id
WHERE n.resolved_at IS NULL
	AND n.created_at < now() - make_interval(secs => $1)
	AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = n.job_id
		AND (j.status = 'Running' OR j.csr_pem = n.csr_pem
			AND (j.status = 'Pending' OR j.status = 'Failed'
				AND j.attempts < j.max_attempts)))
ORDER BY random() LIMIT $2;

-- :name intent_insert
-- Durable before the signature, and only while worker $2 holds job $1.
INSERT INTO issuance_intents (issuer_id, serial_number, certificate_id, job_id,
	agent_id, profile_id, profile_revision, tbs, tbs_sha256, csr_pem)
SELECT $3, $4, j.certificate_id, j.id, j.agent_id, $5, $6::integer, $7::bytea,
	$8, $9
FROM jobs j WHERE j.id = $1 AND j.worker = $2 AND j.status = 'Running';

-- :name issue_store
-- The version is stored in any case: the CA signed it.  The rest happens if
-- worker $2 still holds job $1.  The certificate is locked first, as by those
-- who renew and archive it.  If it was revoked meanwhile, so is this version.
-- Over EST the holder of the key asked itself: its certificate is live without
-- a job.
WITH c AS MATERIALIZED (
	SELECT id, status FROM managed_certificates WHERE id = $3
	FOR NO KEY UPDATE
), v AS (
	INSERT INTO certificate_versions (id, certificate_id, issuer_id,
		agent_id, job_id, serial_number, not_before, not_after,
		fingerprint_sha256, spki_sha256, pem_chain, csr_pem,
		key_algorithm, key_size, ca_key_id)
	SELECT $6, c.id, $4, $7, $1, $5, $8::timestamptz, $9::timestamptz,
		$10, $11, $12, $13, $14, $15::integer, $19
	FROM c
	ON CONFLICT (issuer_id, serial_number) DO UPDATE
		SET serial_number = excluded.serial_number
	RETURNING id
), rv AS (
	INSERT INTO certificate_revocations (id, certificate_id, issuer_id,
		ca_key_id, serial_number, reason, revoked_by, not_after)
	SELECT $20, c.id, $4, $19, $5, m.revocation_reason, $17,
		$9::timestamptz
	FROM c JOIN managed_certificates m ON m.id = c.id
	WHERE c.status = 'Revoked' AND m.revocation_reason <> ''
	ON CONFLICT DO NOTHING
	RETURNING ca_key_id
), kv AS (
	UPDATE ca_keys SET crl_wanted_at = now()
	WHERE id IN (SELECT ca_key_id FROM rv)
), n AS (
	UPDATE issuance_intents SET resolved_at = now()
	WHERE issuer_id = $4 AND serial_number = $5 AND resolved_at IS NULL
), j AS (
	UPDATE jobs j SET status = 'Completed', status_at = now(),
		completed_at = now(), last_error = '', leased_until = NULL,
		version_id = v.id
	FROM v WHERE j.id = $1 AND j.worker = $2 AND j.status = 'Running'
	RETURNING j.id, j.agent_id, j.version_id
), live AS (
	UPDATE managed_certificates m SET status = CASE
			WHEN c.status IN ('Revoked', 'Archived') THEN c.status
			ELSE 'Active' END,
		issued_at = now(), expires_at = $9::timestamptz,
		last_renewal_at = now(), updated_at = now()
	FROM c LEFT JOIN j ON true
	WHERE m.id = c.id AND (j.id IS NOT NULL OR m.source = 'EST'
		AND coalesce(m.expires_at, '-infinity') < $9::timestamptz)
), d AS (
	INSERT INTO jobs (id, type, certificate_id, target_id, agent_id,
		version_id, status)
	SELECT $16 || '-' || row_number() OVER (ORDER BY t.id), 'Deployment',
		c.id, t.id, t.agent_id, j.version_id, 'Pending'
	FROM j, c
	JOIN certificate_target_mappings m ON m.certificate_id = c.id
	JOIN deployment_targets t ON t.id = m.target_id
	WHERE c.status NOT IN ('Revoked', 'Archived') AND t.enabled
		AND t.retired_at IS NULL
		AND (j.agent_id IS NULL OR t.agent_id = j.agent_id)
	ON CONFLICT (certificate_id, target_id)
		WHERE type = 'Deployment' AND status = 'Pending'
		DO UPDATE SET version_id = excluded.version_id,
			agent_id = excluded.agent_id, attempts = 0,
			scheduled_at = now()
), a AS (
	INSERT INTO audit_events (actor, actor_type, action, resource_type,
		resource_id, details)
	SELECT $17, $18, CASE WHEN j.id IS NULL THEN 'certificate_stored'
			ELSE 'renewal_job_completed' END, 'certificate', c.id,
		jsonb_build_object('job_id', $1::text, 'serial', $5::text,
			'not_after', to_char($9::timestamptz,
			'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'keygen_mode', 'agent')
	FROM c LEFT JOIN j ON true
)
SELECT count(*) FROM j;

-- :name issue_failing
-- Worker $2 is about to report job $1 as failed.  $3: not with this CSR again.
UPDATE jobs SET csr_pem = CASE WHEN $3::boolean THEN '' ELSE csr_pem END
WHERE id = $1 AND worker = $2 AND status = 'Running';

-- :name issue_failed
-- The record of the failure of job $1, once it is stored.
INSERT INTO audit_events (actor, actor_type, action, resource_type,
	resource_id, details)
SELECT $2, $3, 'renewal_job_failed', 'certificate', certificate_id,
	jsonb_build_object('job_id', id, 'error', last_error, 'attempts',
		attempts, 'max_attempts', max_attempts)
FROM jobs WHERE id = $1;

-- :name sweep_lock
-- One process at a time for each sweep, on all hosts; gone with the
-- transaction.
SELECT pg_try_advisory_xact_lock(7236, $1);

-- :name renewal_check
-- Certificates inside their window: the policy's days, or a third of the life
-- of a certificate that would spend most of it in such a window.  Each that may
-- be renewed gets a job for every agent that has a target of it (one unbound
-- job without any); the others are marked, and those whose holders renew them
-- over EST.  Whatever is found leaves the set,
-- so calling again while $2 rows came back ends.  $3: only lives up to so many
-- seconds.  Job ids begin with $1.
WITH due AS (
	SELECT c.id, c.expires_at <= now() AS past, r.renew,
		greatest(p.max_retries, 1) AS max_attempts
	FROM managed_certificates c
	JOIN renewal_policies p ON p.id = c.renewal_policy_id
	JOIN issuers i ON i.id = c.issuer_id
	CROSS JOIN LATERAL (SELECT p.auto_renew AND i.enabled
		AND c.source <> 'EST' AND NOT EXISTS (SELECT FROM jobs o
			WHERE o.certificate_id = c.id
			AND o.type IN ('Issuance', 'Renewal')
			AND o.status IN ('Pending', 'AwaitingCSR',
				'AwaitingApproval', 'Running')) AS renew) r
	WHERE coalesce(c.expires_at, '-infinity') > '-infinity'
		AND coalesce(c.expires_at, '-infinity') <= now() + (
			SELECT least(make_interval(secs => $3::float8 / 3),
				make_interval(days => max(renewal_window_days)))
			FROM renewal_policies)
		AND ($3 IS NULL OR c.expires_at - c.issued_at
			<= make_interval(secs => $3::float8))
		AND c.status IN ('Active', 'Expiring', 'Expired')
		AND c.expires_at - CASE
			WHEN make_interval(days => p.renewal_window_days)
				> (c.expires_at - c.issued_at) * 0.7
			THEN (c.expires_at - c.issued_at) / 3
			ELSE make_interval(days => p.renewal_window_days)
			END <= now()
		AND (r.renew OR c.status = 'Active'
			OR c.status = 'Expiring' AND c.expires_at <= now())
	ORDER BY c.expires_at LIMIT $2
	FOR NO KEY UPDATE OF c SKIP LOCKED
), wanted AS (
	SELECT d.id AS certificate_id, d.max_attempts, a.agent_id,
		row_number() OVER (ORDER BY d.id, a.agent_id) AS k
	FROM due d
	LEFT JOIN LATERAL (
		SELECT DISTINCT t.agent_id
		FROM certificate_target_mappings m
		JOIN deployment_targets t ON t.id = m.target_id
		JOIN agents g ON g.id = t.agent_id
		WHERE m.certificate_id = d.id AND t.enabled
			AND t.retired_at IS NULL
			AND g.retired_at IS NULL) a ON true
	WHERE d.renew
), made AS (
	INSERT INTO jobs (id, type, certificate_id, agent_id, status,
		max_attempts)
	SELECT $1 || '-' || w.k, 'Renewal', w.certificate_id, w.agent_id,
		'AwaitingCSR', w.max_attempts
	FROM wanted w
	ON CONFLICT DO NOTHING
	RETURNING id, certificate_id
), moved AS (
	UPDATE managed_certificates c SET status = CASE
			WHEN d.id IN (SELECT certificate_id FROM made)
				THEN 'RenewalInProgress'
			WHEN d.past THEN 'Expired'
			ELSE 'Expiring' END,
		updated_at = now()
	FROM due d WHERE c.id = d.id
), a AS (
	INSERT INTO audit_events (actor, actor_type, action, resource_type,
		resource_id, details)
	SELECT 'system', 'System', 'renewal_job_created', 'certificate',
		certificate_id, jsonb_build_object('job_id', id, 'trigger',
			'schedule')
	FROM made
)
SELECT count(*) FROM due;

-- :name expiry_alerts
-- One row for each threshold a certificate is within and each channel of its
-- tier; the unique index makes it once in a certificate's life, however many
-- run this.  A threshold counts if it lies in the last third of that life (a
-- day of grace: ninety days warn at thirty), because a short-lived certificate
-- is not late from its first day on; day 0 always counts.  What expired more
-- than thirty days ago is old news.  Ids begin with $1, $2 rows at most.
WITH due AS (
	SELECT c.id, c.name, c.expires_at, t.days, s.tier, h.channel,
		coalesce(nullif(o.email, ''), o.id) AS recipient
	FROM managed_certificates c
	JOIN renewal_policies p ON p.id = c.renewal_policy_id
	JOIN owners o ON o.id = c.owner_id
	CROSS JOIN LATERAL unnest(p.alert_thresholds_days) AS t(days)
	CROSS JOIN LATERAL (SELECT coalesce(
		p.alert_severity_map ->> t.days::text, CASE t.days
			WHEN 14 THEN 'warning' WHEN 7 THEN 'warning'
			WHEN 0 THEN 'critical' ELSE 'informational' END)
		AS tier) s
	CROSS JOIN LATERAL jsonb_array_elements_text(CASE
		WHEN p.alert_channels = '{}' THEN '["Email"]'::jsonb
		WHEN jsonb_typeof(p.alert_channels -> s.tier) = 'array'
			THEN p.alert_channels -> s.tier
		ELSE '[]' END) AS h(channel)
	WHERE coalesce(c.expires_at, '-infinity') > now() - interval '30 days'
		AND coalesce(c.expires_at, '-infinity') < now() + (
			SELECT make_interval(days => max(d) + 1)
			FROM renewal_policies q,
				unnest(q.alert_thresholds_days) d)
		AND c.status NOT IN ('Revoked', 'Archived')
		AND c.expires_at < now() + make_interval(days => t.days + 1)
		AND (t.days = 0 OR c.issued_at IS NULL
			OR make_interval(days => t.days)
			<= (c.expires_at - c.issued_at) / 3 + interval '1 day')
		AND NOT EXISTS (SELECT FROM notification_events n
			WHERE n.certificate_id = c.id
			AND n.type = 'ExpirationWarning'
			AND n.expires_at = c.expires_at
			AND n.threshold_days = t.days AND n.channel = h.channel)
	LIMIT $2
), made AS (
	INSERT INTO notification_events (id, type, certificate_id, expires_at,
		threshold_days, tier, channel, recipient, message)
	SELECT $1 || '-' || row_number() OVER (ORDER BY d.expires_at, d.id),
		'ExpirationWarning', d.id, d.expires_at, d.days, d.tier,
		d.channel, d.recipient, CASE WHEN d.expires_at <= now()
			THEN '[EXPIRED] certificate ' || d.name
				|| ' expired at '
			ELSE 'certificate ' || d.name || ' expires at ' END
		|| to_char(d.expires_at, 'YYYY-MM-DD HH24:MI') || ' UTC'
	FROM due d
	ON CONFLICT DO NOTHING
	RETURNING 1
)
SELECT count(*) FROM made;

-- :name jobs_lost
-- Jobs whose holders died as often as they may be tried.
WITH failed AS (
	UPDATE jobs SET status = 'Failed', status_at = now(),
		completed_at = now(), leased_until = NULL,
		last_error = 'given up: begun ' || attempts
			|| ' times and never finished'
	WHERE id IN (SELECT id FROM jobs
		WHERE status = 'Running' AND leased_until < now()
			AND attempts >= max_attempts
		ORDER BY leased_until LIMIT $1 FOR UPDATE SKIP LOCKED)
	RETURNING id, attempts
), a AS (
	INSERT INTO audit_events (actor, actor_type, action, resource_type,
		resource_id, details)
	SELECT 'system', 'System', 'job_timeout', 'job', id,
		jsonb_build_object('timeout_reason', 'lease_expired',
			'attempts', attempts)
	FROM failed
)
SELECT count(*) FROM failed;

-- :name jobs_retry
-- Failed jobs that are due again.  One that a newer job or an open one took
-- the place of, or whose certificate, target or agent is gone, is not begun
-- again: its attempts count as used up.
WITH due AS (
	SELECT j.id, c.status NOT IN ('Archived', 'Revoked')
		AND NOT EXISTS (SELECT FROM agents g
			WHERE g.id = j.agent_id AND g.retired_at IS NOT NULL)
		AND (j.type <> 'Deployment' OR EXISTS (
			SELECT FROM deployment_targets t
			WHERE t.id = j.target_id AND t.enabled
			AND t.retired_at IS NULL))
		AND NOT EXISTS (SELECT FROM jobs o
			WHERE o.certificate_id = j.certificate_id
			AND o.id <> j.id AND CASE WHEN j.type = 'Deployment'
				THEN o.type = 'Deployment'
				AND o.target_id = j.target_id
				ELSE o.type IN ('Issuance', 'Renewal')
				AND o.agent_id IS NOT DISTINCT FROM j.agent_id
				END
			AND (o.status IN ('Pending', 'AwaitingCSR',
				'AwaitingApproval', 'Running')
			OR (o.created_at, o.id) > (j.created_at, j.id)))
		AS again
	FROM jobs j JOIN managed_certificates c ON c.id = j.certificate_id
	WHERE j.status = 'Failed' AND j.attempts < j.max_attempts
		AND j.scheduled_at <= now()
	ORDER BY j.scheduled_at LIMIT $1
	FOR NO KEY UPDATE OF j, c SKIP LOCKED
), moved AS (
	UPDATE jobs j SET status = CASE
			WHEN NOT d.again THEN 'Failed'
			WHEN j.type = 'Deployment' OR j.csr_pem <> ''
				THEN 'Pending'
			ELSE 'AwaitingCSR' END,
		attempts = CASE WHEN d.again THEN j.attempts
			ELSE j.max_attempts END,
		completed_at = CASE WHEN d.again THEN NULL
			ELSE j.completed_at END,
		status_at = CASE WHEN d.again THEN now() ELSE j.status_at END
	FROM due d WHERE j.id = d.id
	RETURNING j.id, j.type, j.certificate_id, j.status, j.attempts,
		j.max_attempts, d.again
), renewing AS (
	UPDATE managed_certificates SET status = 'RenewalInProgress',
		updated_at = now()
	WHERE id IN (SELECT certificate_id FROM moved
		WHERE again AND type <> 'Deployment')
		AND status NOT IN ('RenewalInProgress', 'Archived', 'Revoked')
), a AS (
	INSERT INTO audit_events (actor, actor_type, action, resource_type,
		resource_id, details)
	SELECT 'system', 'System', 'job_retry', 'job', id,
		jsonb_build_object('old_status', 'Failed', 'new_status',
			status, 'attempts', attempts, 'max_attempts',
			max_attempts)
	FROM moved WHERE again
)
SELECT count(*) FROM moved;

-- :name deployments_again
-- Where the newest version is not live because its deployment failed for good:
-- asked for again a quarter of an hour later, and that much later each time in
-- a day, so that a server that was down gets what it missed.  Job ids begin
-- with $1, $2 at once.
WITH due AS (
	SELECT j.certificate_id, j.target_id, t.agent_id, v.id AS version_id
	FROM jobs j
	JOIN certificate_target_mappings m
		ON m.certificate_id = j.certificate_id
		AND m.target_id = j.target_id
	JOIN deployment_targets t ON t.id = j.target_id AND t.enabled
		AND t.retired_at IS NULL
	JOIN agents g ON g.id = t.agent_id AND g.retired_at IS NULL
	JOIN managed_certificates c ON c.id = j.certificate_id
		AND c.status IN ('Active', 'Expiring', 'RenewalInProgress')
	CROSS JOIN LATERAL (SELECT v.id FROM certificate_versions v
		WHERE v.certificate_id = j.certificate_id
			AND (v.agent_id = t.agent_id OR v.agent_id IS NULL)
		ORDER BY v.agent_id IS NULL, v.created_at DESC, v.id DESC
		LIMIT 1) v
	WHERE j.type = 'Deployment' AND j.status = 'Failed'
		AND j.attempts >= j.max_attempts
		AND j.completed_at > now() - interval '30 days'
		AND j.completed_at < now() - interval '15 minutes' * (
			SELECT count(*) FROM jobs f
			WHERE f.target_id = j.target_id
				AND f.certificate_id = j.certificate_id
				AND f.type = 'Deployment'
				AND f.status = 'Failed'
				AND f.created_at > now() - interval '1 day')
		AND NOT EXISTS (SELECT FROM jobs o
			WHERE o.target_id = j.target_id
				AND o.certificate_id = j.certificate_id
				AND o.type = 'Deployment'
				AND (o.created_at, o.id) > (j.created_at, j.id))
		AND m.version_id IS DISTINCT FROM v.id
	ORDER BY j.completed_at LIMIT $2
), made AS (
	INSERT INTO jobs (id, type, certificate_id, target_id, agent_id,
		version_id, status)
	SELECT $1 || '-' || row_number() OVER (ORDER BY target_id),
		'Deployment', certificate_id, target_id, agent_id, version_id,
		'Pending'
	FROM due
	ON CONFLICT DO NOTHING
	RETURNING id, certificate_id
), a AS (
	INSERT INTO audit_events (actor, actor_type, action, resource_type,
		resource_id, details)
	SELECT 'system', 'System', 'deployment_jobs_created', 'certificate',
		certificate_id, jsonb_build_object('job_id', id, 'trigger',
			'failed before')
	FROM made
)
SELECT count(*) FROM made;

-- :name jobs_overdue
-- Waited longer for a CSR than $2 seconds, or for approval than $3: over, and
-- not tried again.
WITH due AS (
	SELECT id, status, status_at, CASE status
			WHEN 'AwaitingCSR' THEN $2::bigint
			ELSE $3::bigint END AS allowed
	FROM jobs
	WHERE status IN ('AwaitingCSR', 'AwaitingApproval')
		AND status_at < now() - make_interval(secs => CASE status
			WHEN 'AwaitingCSR' THEN $2::bigint
			ELSE $3::bigint END)
	ORDER BY status_at LIMIT $1 FOR UPDATE SKIP LOCKED
), failed AS (
	UPDATE jobs j SET status = 'Failed', status_at = now(),
		completed_at = now(), leased_until = NULL,
		attempts = greatest(j.attempts, j.max_attempts),
		last_error = CASE d.status WHEN 'AwaitingCSR' THEN 'no CSR came'
			ELSE 'nobody approved it' END || ' within ' || CASE
			WHEN d.allowed % 3600 = 0 THEN d.allowed / 3600 || 'h'
			ELSE d.allowed || 's' END
	FROM due d WHERE j.id = d.id
	RETURNING j.id, d.status, d.status_at
), a AS (
	INSERT INTO audit_events (actor, actor_type, action, resource_type,
		resource_id, details)
	SELECT 'system', 'System', 'job_timeout', 'job', id,
		jsonb_build_object('timeout_reason', CASE status
			WHEN 'AwaitingCSR' THEN 'csr_timeout'
			ELSE 'approval_timeout' END, 'age_hours',
			round(extract(epoch FROM now() - status_at) / 3600, 1))
	FROM failed
)
SELECT count(*) FROM failed;

-- :name jobs_silent
-- Deployments of an agent that went silent: tried again after a pause.  An
-- agent that was never heard of has begun nothing.
WITH failed AS (
	UPDATE jobs j SET status = 'Failed', status_at = now(),
		completed_at = now(), leased_until = NULL,
		last_error = 'the agent was not heard of for 5 minutes',
		scheduled_at = now() + make_interval(secs => least(3600,
			s.retry_interval_seconds
			* power(2, least(greatest(j.attempts - 1, 0), 10))))
	FROM (SELECT j.id, p.retry_interval_seconds
		FROM jobs j
		JOIN agents g ON g.id = j.agent_id
		JOIN managed_certificates c ON c.id = j.certificate_id
		JOIN renewal_policies p ON p.id = c.renewal_policy_id
		WHERE j.status = 'Running' AND j.type = 'Deployment'
			AND g.last_heartbeat_at < now() - interval '5 minutes'
		ORDER BY j.status_at LIMIT $1
		FOR UPDATE OF j SKIP LOCKED) s
	WHERE j.id = s.id
	RETURNING j.id, j.agent_id, j.attempts
), a AS (
	INSERT INTO audit_events (actor, actor_type, action, resource_type,
		resource_id, details)
	SELECT 'system', 'System', 'job_offline_agent_reap', 'job', id,
		jsonb_build_object('agent_id', agent_id, 'attempts', attempts)
	FROM failed
)
SELECT count(*) FROM failed;

-- :name certificates_rest
-- Certificates that are being renewed by no job, open or to be tried again.
-- CASE keeps the planner from reading all of a partial index for each of them.
WITH rested AS (
	UPDATE managed_certificates SET status = CASE
			WHEN expires_at IS NULL THEN 'Failed'
			WHEN expires_at <= now() THEN 'Expired'
			ELSE 'Active' END,
		updated_at = now()
	WHERE id IN (SELECT c.id FROM managed_certificates c
		WHERE c.status = 'RenewalInProgress'
			AND NOT EXISTS (SELECT FROM jobs j
				WHERE j.certificate_id = c.id
				AND j.type IN ('Issuance', 'Renewal')
				AND CASE j.status WHEN 'Failed'
					THEN j.attempts < j.max_attempts
					ELSE j.status IN ('Pending',
						'AwaitingCSR',
						'AwaitingApproval', 'Running')
					END)
		LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
	RETURNING 1
)
SELECT count(*) FROM rested;

-- :name agents_offline
-- Three beats missed.  A heartbeat that comes meanwhile wins: the row is
-- looked at again once it is free.
WITH gone AS (
	UPDATE agents SET status = 'Offline'
	WHERE status = 'Online' AND retired_at IS NULL
		AND coalesce(last_heartbeat_at, registered_at)
			< now() - interval '180 seconds'
	RETURNING 1
)
SELECT count(*) FROM gone;

-- :name agents_pace
-- All agents together ask some 200 times a second, each every 30 s at least.
WITH paced AS (
	UPDATE installation SET poll_seconds = p.seconds
	FROM (SELECT least(30, greatest(1, ceil(count(*) / 200.0)))::integer
			AS seconds
		FROM agents WHERE status = 'Online' AND retired_at IS NULL) p
	WHERE poll_seconds <> p.seconds
	RETURNING 1
)
SELECT count(*) FROM paced;

-- :name short_lived_expired
WITH expired AS (
	UPDATE managed_certificates SET status = 'Expired', updated_at = now()
	WHERE id IN (SELECT c.id FROM managed_certificates c
		JOIN certificate_profiles p ON p.id = c.certificate_profile_id
		WHERE c.status IN ('Active', 'Expiring')
			AND coalesce(c.expires_at, '-infinity') > '-infinity'
			AND coalesce(c.expires_at, '-infinity') <= now()
			AND p.allow_short_lived
			AND p.max_ttl_seconds BETWEEN 1 AND 3599
		LIMIT $1 FOR NO KEY UPDATE OF c SKIP LOCKED)
	RETURNING id, expires_at
), a AS (
	INSERT INTO audit_events (actor, actor_type, action, resource_type,
		resource_id, details)
	SELECT 'system', 'System', 'short_lived_cert_expired', 'certificate',
		id, jsonb_build_object('expires_at', to_char(expires_at,
			'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
	FROM expired
)
SELECT count(*) FROM expired;

-- :name counts_fold
-- Once the changes outnumber what they add up to.  Only rows seen are deleted
-- and added, so a change that commits meanwhile is neither lost nor counted
-- twice.
WITH gone AS (
	DELETE FROM certificate_counts
	WHERE (SELECT count(*) FROM certificate_counts) > $1 + 2 * (
		SELECT count(*) FROM (SELECT DISTINCT status, environment,
			owner_id, team_id, issuer_id, certificate_profile_id
			FROM certificate_counts) d)
	RETURNING *
), kept AS (
	INSERT INTO certificate_counts
	SELECT status, environment, owner_id, team_id, issuer_id,
		certificate_profile_id, sum(n)
	FROM gone GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(n) <> 0
)
SELECT count(*) FROM gone;
