-- Agents, their targets, and what they are asked to do.

-- :list agents
-- :where c.retired_at IS NULL
-- :filter status text c.status = $
-- :sort registered_at timestamptz c.registered_at
-- :unique c.id
-- :desc
SELECT c.id, c.name, c.hostname, c.status, c.last_heartbeat_at,
	c.registered_at, c.os, c.architecture, c.ip_address, c.version,
	c.retired_at, c.retired_reason
FROM agents c;

-- :list agents_retired
-- :where c.retired_at IS NOT NULL
-- :sort retired_at timestamptz c.retired_at
-- :unique c.id
-- :desc
SELECT c.id, c.name, c.hostname, c.status, c.last_heartbeat_at,
	c.registered_at, c.os, c.architecture, c.ip_address, c.version,
	c.retired_at, c.retired_reason
FROM agents c;

-- :name agent_get
-- :audited
SELECT id, name, hostname, status, last_heartbeat_at, registered_at, os,
	architecture, ip_address, version, retired_at, retired_reason
FROM agents WHERE id = $1;

-- :name agent_by_key
SELECT id, hostname FROM agents WHERE api_key_hash = $1;

-- :name agent_insert
-- A lost reply is asked for again with the same name and key.
INSERT INTO agents (id, name, hostname, os, architecture, ip_address, version,
	api_key_hash, last_heartbeat_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
ON CONFLICT (name) DO UPDATE SET hostname = excluded.hostname
	WHERE agents.api_key_hash = excluded.api_key_hash
		AND agents.retired_at IS NULL
RETURNING id, name, hostname, status, last_heartbeat_at, registered_at, os,
	architecture, ip_address, version, retired_at, retired_reason;

-- :name agent_heartbeat
-- A lost heartbeat is made good by the next one: no wait for the disk.
UPDATE agents SET last_heartbeat_at = now(), status = 'Online',
	version = coalesce($2, version), hostname = coalesce($3, hostname),
	os = coalesce($4, os), architecture = coalesce($5, architecture),
	ip_address = coalesce($6, ip_address)
WHERE id = $1 AND retired_at IS NULL
RETURNING set_config('synchronous_commit', 'off', true);

-- :name agent_lock
SELECT a.id, a.name, a.hostname, a.status, a.last_heartbeat_at,
	a.registered_at, a.os, a.architecture, a.ip_address, a.version,
	a.retired_at, a.retired_reason,
	(SELECT count(*) FROM deployment_targets t
		WHERE t.agent_id = a.id AND t.retired_at IS NULL)
		AS active_targets,
	(SELECT count(DISTINCT m.certificate_id)
		FROM deployment_targets t
		JOIN certificate_target_mappings m ON m.target_id = t.id
		JOIN managed_certificates c ON c.id = m.certificate_id
		WHERE t.agent_id = a.id AND t.retired_at IS NULL
		AND c.status <> 'Archived') AS active_certificates,
	(SELECT count(*) FROM jobs j WHERE j.agent_id = a.id
		AND j.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval',
		'Running')) AS pending_jobs
FROM agents a WHERE a.id = $1 FOR UPDATE OF a;

-- :name agent_retire
-- With its targets and its open jobs, and what those held up.
WITH a AS (
	UPDATE agents SET retired_at = now(), retired_reason = $2,
		status = 'Offline'
	WHERE id = $1 AND retired_at IS NULL RETURNING id, retired_at
), t AS (
	UPDATE deployment_targets SET retired_at = now(),
		retired_reason = $2, updated_at = now()
	WHERE agent_id = (SELECT id FROM a) AND retired_at IS NULL
), j AS (
	UPDATE jobs SET status = 'Cancelled', status_at = now(),
		completed_at = now(), leased_until = NULL,
		last_error = 'agent retired'
	WHERE agent_id = (SELECT id FROM a) AND status IN ('Pending',
		'AwaitingCSR', 'AwaitingApproval', 'Running')
	RETURNING certificate_id, type, id
), c AS (
	UPDATE managed_certificates c SET status = CASE
			WHEN c.expires_at IS NULL THEN 'Failed'
			WHEN c.expires_at <= now() THEN 'Expired'
			ELSE 'Active' END,
		updated_at = now()
	WHERE c.status = 'RenewalInProgress' AND c.id IN (
		SELECT certificate_id FROM j WHERE type <> 'Deployment')
		AND NOT EXISTS (SELECT FROM jobs o
			WHERE o.certificate_id = c.id
			AND o.type IN ('Issuance', 'Renewal')
			AND o.status IN ('Pending', 'AwaitingCSR',
				'AwaitingApproval', 'Running')
			AND o.id NOT IN (SELECT id FROM j))
)
SELECT retired_at FROM a;

-- :name agent_work
-- Everything agent $1 is to do, in one look.  Due deployments, and those whose
-- lease ran out because the agent lost them, are leased for $2 seconds; CSRs
-- are asked for until one comes, and a job of no agent is bound to this one.
-- A deployment that was late or failed before installs the newest version, so
-- that it never undoes a later one.
-- One row always: it tells whether the agent is retired, and the pace.
WITH g AS (
	SELECT id, retired_at FROM agents WHERE id = $1
), due AS (
	SELECT j.id FROM jobs j
	WHERE j.agent_id = $1 AND j.type = 'Deployment'
		AND j.attempts < j.max_attempts
		AND ((j.status = 'Pending' AND j.scheduled_at <= now())
		OR (j.status = 'Running' AND j.leased_until < now()))
		AND EXISTS (SELECT FROM g WHERE retired_at IS NULL)
	ORDER BY j.scheduled_at LIMIT 50 FOR UPDATE SKIP LOCKED
), claimed AS (
	UPDATE jobs j SET status = 'Running', attempts = j.attempts + 1,
		status_at = now(), started_at = now(), worker = $1,
		leased_until = now() + make_interval(secs => $2),
		version_id = coalesce((
			SELECT v.id FROM certificate_versions v
			WHERE v.certificate_id = j.certificate_id
				AND (v.agent_id = $1 OR v.agent_id IS NULL)
			ORDER BY v.agent_id IS NULL, v.created_at DESC,
				v.id DESC LIMIT 1), j.version_id)
	FROM due WHERE j.id = due.id
	RETURNING j.*
), bound AS (
	UPDATE jobs j SET agent_id = $1
	WHERE j.status = 'AwaitingCSR' AND j.agent_id IS NULL
		AND EXISTS (SELECT FROM certificate_target_mappings m
			JOIN deployment_targets t ON t.id = m.target_id
			WHERE m.certificate_id = j.certificate_id
			AND t.agent_id = $1 AND t.enabled
			AND t.retired_at IS NULL)
		AND NOT EXISTS (SELECT FROM jobs o
			WHERE o.certificate_id = j.certificate_id
			AND o.agent_id = $1 AND o.type IN ('Issuance', 'Renewal')
			AND o.status IN ('Pending', 'AwaitingCSR',
				'AwaitingApproval', 'Running'))
	RETURNING j.*
), asked AS (
	SELECT * FROM bound
	UNION ALL
	(SELECT j.* FROM jobs j
	WHERE j.agent_id = $1 AND j.status = 'AwaitingCSR'
		AND j.type IN ('Issuance', 'Renewal')
		AND j.scheduled_at <= now()
	ORDER BY j.scheduled_at LIMIT 50)
), items AS (
	SELECT 1 AS part, j.id, j.type, j.certificate_id, j.status,
		j.created_at, j.target_id, t.type AS target_type,
		t.encrypted_config, v.fingerprint_sha256 AS fingerprint
	FROM claimed j
	LEFT JOIN deployment_targets t ON t.id = j.target_id
	LEFT JOIN certificate_versions v ON v.id = j.version_id
	UNION ALL
	SELECT 2, j.id, j.type, j.certificate_id, j.status, j.created_at,
		NULL, NULL, NULL, NULL
	FROM asked j
)
SELECT i.part, i.id, i.type, i.certificate_id, i.status, i.target_id,
	i.target_type, i.encrypted_config, i.fingerprint, c.common_name,
	c.sans, p.allowed_key_algorithms, g.id AS agent_id, g.retired_at,
	n.poll_seconds
FROM g CROSS JOIN installation n LEFT JOIN items i ON true
LEFT JOIN managed_certificates c ON c.id = i.certificate_id AND i.part = 2
LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id
ORDER BY i.part, i.created_at, i.id;

-- :name agent_csr_job
-- The job a CSR of agent $1 for certificate $2 answers, with what decides
-- whether it may; a row without job_id says that none is waiting.
SELECT g.retired_at, g.hostname, c.id AS certificate_id, c.common_name, c.sans,
	c.certificate_profile_id, j.id AS job_id, j.type,
	p.allowed_key_algorithms, p.max_ttl_seconds, p.allowed_ekus,
	p.required_san_patterns, p.spiffe_uri_pattern, p.must_staple,
	p.allow_short_lived,
	p.enabled AS profile_enabled
FROM agents g
LEFT JOIN managed_certificates c ON c.id = $2 AND (
	EXISTS (SELECT FROM certificate_target_mappings m
		JOIN deployment_targets t ON t.id = m.target_id
		WHERE m.certificate_id = c.id AND t.agent_id = $1)
	OR EXISTS (SELECT FROM jobs o WHERE o.certificate_id = c.id
		AND o.agent_id = $1 AND o.status = 'AwaitingCSR'))
LEFT JOIN certificate_profiles p ON p.id = c.certificate_profile_id
LEFT JOIN LATERAL (
	SELECT o.id, o.type FROM jobs o
	WHERE o.certificate_id = c.id AND o.status = 'AwaitingCSR'
		AND o.type IN ('Issuance', 'Renewal')
		AND (o.agent_id = $1 OR o.agent_id IS NULL)
	ORDER BY o.agent_id IS NULL, o.created_at DESC LIMIT 1) j ON true
WHERE g.id = $1;

-- :name agent_csr_store
UPDATE jobs SET status = 'Pending', status_at = now(), scheduled_at = now(),
	csr_pem = $2, agent_id = $3
WHERE id = $1 AND status = 'AwaitingCSR'
	AND (agent_id = $3 OR agent_id IS NULL);

-- :name agent_certificate
-- What agent $1 is to install of certificate $2: the version its running
-- deployment names, else the newest of its own key, else of no agent's.
SELECT v.pem_chain, v.serial_number
FROM certificate_versions v
LEFT JOIN jobs j ON j.version_id = v.id AND j.agent_id = $1
	AND j.type = 'Deployment' AND j.status = 'Running'
WHERE v.certificate_id = $2 AND (v.agent_id = $1 OR v.agent_id IS NULL)
	AND (v.agent_id = $1 OR EXISTS (
		SELECT FROM certificate_target_mappings m
		JOIN deployment_targets t ON t.id = m.target_id
		WHERE m.certificate_id = $2 AND t.agent_id = $1))
ORDER BY j.started_at DESC NULLS LAST, v.agent_id IS NULL, v.created_at DESC,
	v.id DESC
LIMIT 1;

-- :name job_report_lock
-- A job as its agent $2 sees it.
SELECT id, type, certificate_id, target_id, agent_id, status, last_error
FROM jobs WHERE id = $1 AND agent_id = $2 FOR UPDATE;

-- :name job_report_running
UPDATE jobs SET leased_until = now() + make_interval(secs => $2)
WHERE id = $1 AND status = 'Running';

-- :name job_report_completed
-- The deployment is live: the mapping and the certificate say so.
WITH j AS (
	UPDATE jobs SET status = 'Completed', status_at = now(),
		completed_at = now(), last_error = '', leased_until = NULL
	WHERE id = $1 AND status = 'Running' RETURNING *
), m AS (
	UPDATE certificate_target_mappings m SET version_id = j.version_id,
		deployed_at = now()
	FROM j WHERE j.type = 'Deployment'
		AND m.certificate_id = j.certificate_id
		AND m.target_id = j.target_id
)
UPDATE managed_certificates c SET last_deployment_at = now(),
	updated_at = now()
FROM j WHERE j.type = 'Deployment' AND c.id = j.certificate_id;

-- :name job_report_failed
-- Retried after a pause that doubles: the policy's interval, an hour at most.
-- A job that still awaits its CSR failed at the agent, and is asked for again.
WITH j AS (
	UPDATE jobs j SET status = 'Failed', status_at = now(),
		completed_at = now(), last_error = left($2, 2000),
		leased_until = NULL,
		attempts = j.attempts
			+ CASE WHEN j.status = 'AwaitingCSR' THEN 1 ELSE 0 END,
		scheduled_at = now() + make_interval(secs => least(3600,
			p.retry_interval_seconds
			* power(2, least(greatest(j.attempts - 1, 0), 10))))
	FROM managed_certificates c
	JOIN renewal_policies p ON p.id = c.renewal_policy_id
	WHERE j.id = $1 AND c.id = j.certificate_id
		AND j.status IN ('Running', 'AwaitingCSR')
	RETURNING j.*
)
UPDATE managed_certificates c SET status = CASE
		WHEN c.expires_at IS NULL THEN 'Failed'
		WHEN c.expires_at <= now() THEN 'Expired'
		ELSE 'Active' END,
	updated_at = now()
FROM j WHERE c.id = j.certificate_id AND j.type IN ('Issuance', 'Renewal')
	AND j.attempts >= j.max_attempts AND c.status = 'RenewalInProgress'
	AND NOT EXISTS (SELECT FROM jobs o WHERE o.certificate_id = c.id
		AND o.id <> j.id AND o.type IN ('Issuance', 'Renewal')
		AND o.status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval',
			'Running'));

-- :name deployments_outstanding
-- Targets of agent $2 that do not have the newest version it has a key for.
SELECT count(*)
FROM certificate_target_mappings m
JOIN deployment_targets t ON t.id = m.target_id
WHERE m.certificate_id = $1 AND t.agent_id = $2 AND t.enabled
	AND t.retired_at IS NULL
	AND m.version_id IS DISTINCT FROM (
		SELECT v.id FROM certificate_versions v
		WHERE v.certificate_id = $1 AND v.agent_id = $2
		ORDER BY v.created_at DESC, v.id DESC LIMIT 1);

-- :list targets
-- :where c.retired_at IS NULL
-- :filter agent_id text c.agent_id = $
-- :sort created_at timestamptz c.created_at
-- :unique c.id
-- :desc
SELECT c.id, c.name, c.type, c.agent_id, c.config, c.enabled,
	c.last_tested_at, c.test_status, c.source, c.retired_at,
	c.retired_reason, c.created_at, c.updated_at
FROM deployment_targets c;

-- :name target_get
-- :audited
SELECT id, name, type, agent_id, config, enabled, last_tested_at, test_status,
	source, retired_at, retired_reason, created_at, updated_at
FROM deployment_targets WHERE id = $1;

-- :name target_lock
SELECT id, name, type, agent_id, config, encrypted_config, enabled,
	last_tested_at, test_status, source, retired_at, retired_reason,
	created_at, updated_at
FROM deployment_targets WHERE id = $1 FOR NO KEY UPDATE;

-- :name agent_usable
-- Locked, so that it cannot retire before the target exists.
SELECT id FROM agents WHERE id = $1 AND retired_at IS NULL FOR KEY SHARE;

-- :name target_insert
INSERT INTO deployment_targets (id, name, type, agent_id, config,
	encrypted_config, enabled)
VALUES ($1, $2, $3, $4, $5::jsonb, $6::bytea, $7::boolean)
RETURNING created_at, updated_at, test_status, source;

-- :name target_update
UPDATE deployment_targets SET name = $2, type = $3, agent_id = $4,
	config = $5::jsonb, encrypted_config = $6::bytea,
	enabled = $7::boolean, updated_at = now()
WHERE id = $1 RETURNING updated_at;

-- :name target_delete
-- Its open deployments end with it.
WITH j AS (
	UPDATE jobs SET status = 'Cancelled', status_at = now(),
		completed_at = now(), leased_until = NULL,
		last_error = 'target deleted'
	WHERE target_id = $1 AND status IN ('Pending', 'Running')
)
DELETE FROM deployment_targets WHERE id = $1;

-- :name target_tested
-- Reachable means that its agent is there and was heard of lately.
UPDATE deployment_targets t SET last_tested_at = now(),
	test_status = CASE WHEN g.retired_at IS NULL AND g.status = 'Online'
		AND g.last_heartbeat_at > now() - interval '5 minutes'
		THEN 'success' ELSE 'failed' END
FROM agents g WHERE t.id = $1 AND g.id = t.agent_id
RETURNING t.test_status AS status, t.type, t.agent_id, CASE
	WHEN g.retired_at IS NOT NULL THEN 'the agent is retired'
	WHEN g.status <> 'Online' THEN 'the agent is ' || lower(g.status)
	WHEN g.last_heartbeat_at > now() - interval '5 minutes'
		THEN 'the agent is online'
	ELSE 'the agent was not heard of for 5 minutes' END AS message;
