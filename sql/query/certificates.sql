-- Certificates, their versions and where they are installed.

-- :list certificates
-- :filter + status          text c.status = $
-- :filter + environment     text c.environment = $
-- :filter + owner_id        text c.owner_id = $
-- :filter + team_id         text c.team_id = $
-- :filter + issuer_id       text c.issuer_id = $
-- :filter + profile_id      text c.certificate_profile_id = $
-- :filter agent_id          text EXISTS (SELECT FROM certificate_target_mappings m JOIN deployment_targets t ON t.id = m.target_id WHERE m.certificate_id = c.id AND t.agent_id = $)
-- :filter expires_before    timestamptz coalesce(c.expires_at, '-infinity') < $ AND c.expires_at IS NOT NULL
-- :filter expires_after     timestamptz coalesce(c.expires_at, '-infinity') > $
-- :filter created_after     timestamptz c.created_at > $
-- :filter updated_after     timestamptz c.updated_at > $
-- :sort createdAt   timestamptz c.created_at
-- :sort notAfter    timestamptz coalesce(c.expires_at, '-infinity')
-- :sort expiresAt   timestamptz coalesce(c.expires_at, '-infinity')
-- :sort updatedAt   timestamptz c.updated_at
-- :sort commonName  text c.common_name
-- :sort name        text c.name
-- :sort status      text c.status
-- :sort environment text c.environment
-- :unique c.id
-- :totals SELECT coalesce(sum(n), 0)::bigint FROM certificate_counts c
SELECT c.id, c.name, c.common_name, c.sans, c.environment, c.owner_id,
	c.team_id, c.issuer_id, c.renewal_policy_id, c.certificate_profile_id,
	c.status, c.expires_at, c.tags, c.last_renewal_at,
	c.last_deployment_at, c.revoked_at, c.revocation_reason, c.source,
	c.created_at, c.updated_at,
	ARRAY(SELECT m.target_id FROM certificate_target_mappings m
		WHERE m.certificate_id = c.id ORDER BY 1) AS target_ids
FROM managed_certificates c;

-- :name certificate_get
-- :audited
-- :also certificate_lock FOR NO KEY UPDATE OF c
-- Locked: what renew, deploy and update decide by, held until they commit.
SELECT c.id, c.name, c.common_name, c.sans, c.environment, c.owner_id,
	c.team_id, c.issuer_id, c.renewal_policy_id, c.certificate_profile_id,
	c.status, c.expires_at, c.tags, c.last_renewal_at,
	c.last_deployment_at, c.revoked_at, c.revocation_reason, c.source,
	c.created_at, c.updated_at,
	ARRAY(SELECT m.target_id FROM certificate_target_mappings m
		WHERE m.certificate_id = c.id ORDER BY 1) AS target_ids
FROM managed_certificates c WHERE c.id = $1;

-- :name certificate_insert
WITH c AS (
	INSERT INTO managed_certificates (id, name, common_name, sans,
		environment, owner_id, team_id, issuer_id, renewal_policy_id,
		certificate_profile_id, status, tags, source, expires_at)
	VALUES ($1, $2, $3, $4::text[], $5, $6, $7, $8, $9, $10, $11,
		$12::jsonb, $13, $14::timestamptz)
	RETURNING *
), m AS (
	INSERT INTO certificate_target_mappings (certificate_id, target_id)
	SELECT DISTINCT $1, t FROM unnest($15::text[]) t
	RETURNING target_id
)
SELECT c.*, ARRAY(SELECT target_id FROM m ORDER BY 1) AS target_ids FROM c;

-- :name certificate_update
UPDATE managed_certificates SET name = $2, common_name = $3,
	sans = $4::text[], environment = $5, owner_id = $6, team_id = $7,
	issuer_id = $8, renewal_policy_id = $9, certificate_profile_id = $10,
	status = $11, tags = $12::jsonb, updated_at = now()
WHERE id = $1 RETURNING updated_at;

-- :name certificate_targets_set
-- Make the mappings of $1 those of $2; what stays keeps what is live there.
WITH gone AS (
	DELETE FROM certificate_target_mappings
	WHERE certificate_id = $1 AND target_id <> ALL ($2::text[])
)
INSERT INTO certificate_target_mappings (certificate_id, target_id)
SELECT DISTINCT $1, t FROM unnest($2::text[]) t ON CONFLICT DO NOTHING;

-- :name certificate_archive
-- Open work of it ends with it.
WITH c AS (
	UPDATE managed_certificates SET status = 'Archived', updated_at = now()
	WHERE id = $1 RETURNING id
), j AS (
	UPDATE jobs SET status = 'Cancelled', status_at = now(),
		completed_at = now(), leased_until = NULL,
		last_error = 'certificate archived'
	WHERE certificate_id = (SELECT id FROM c) AND status IN ('Pending',
		'AwaitingCSR', 'AwaitingApproval')
)
SELECT id FROM c;

-- :name certificate_versions_total
-- Audited apart: an unknown certificate has no versions, and that is no error.
SELECT count(*) FROM certificate_versions WHERE certificate_id = $1;

-- :list certificate_versions
-- :filter certificate_id text c.certificate_id = $
-- :sort created_at timestamptz c.created_at
-- :unique c.id
-- :desc
SELECT c.id, c.certificate_id, c.serial_number, c.not_before, c.not_after,
	c.fingerprint_sha256, c.pem_chain, c.csr_pem, c.key_algorithm,
	c.key_size, c.created_at
FROM certificate_versions c;

-- :name certificate_deployments
-- :audited
-- All targets of $1 in one row set; a row without id says that it has none.
SELECT t.id, t.name, t.type, t.agent_id, t.config, t.enabled,
	t.last_tested_at, t.test_status, t.source, t.retired_at,
	t.retired_reason, t.created_at, t.updated_at
FROM managed_certificates c
LEFT JOIN certificate_target_mappings m ON m.certificate_id = c.id
LEFT JOIN deployment_targets t ON t.id = m.target_id
WHERE c.id = $1 ORDER BY t.created_at DESC, t.id DESC;

-- :name certificate_renew_jobs
-- One job for each agent that has a target of the certificate, because a key
-- stays on the machine that made it; one unbound job if there is none yet.
WITH a AS (
	SELECT DISTINCT t.agent_id
	FROM certificate_target_mappings m
	JOIN deployment_targets t ON t.id = m.target_id
	JOIN agents g ON g.id = t.agent_id
	WHERE m.certificate_id = $1 AND t.enabled AND t.retired_at IS NULL
		AND g.retired_at IS NULL
), wanted AS (
	SELECT agent_id, row_number() OVER (ORDER BY agent_id) AS k FROM a
	UNION ALL
	SELECT NULL, 1 WHERE NOT EXISTS (SELECT FROM a)
)
INSERT INTO jobs (id, type, certificate_id, agent_id, status, max_attempts)
SELECT $2 || CASE WHEN w.k > 1 THEN '-' || w.k ELSE '' END, $3, $1,
	w.agent_id, 'AwaitingCSR', greatest(p.max_retries, 1)
FROM wanted w, managed_certificates c
JOIN renewal_policies p ON p.id = c.renewal_policy_id
WHERE c.id = $1
ON CONFLICT DO NOTHING
RETURNING id;

-- :name certificate_renewing
UPDATE managed_certificates SET status = 'RenewalInProgress',
	updated_at = now()
WHERE id = $1;

-- :name certificate_deploy_jobs
-- The newest version that suits each target's agent, to one target or to all.
INSERT INTO jobs (id, type, certificate_id, target_id, agent_id, version_id,
	status, max_attempts)
SELECT $2 || '-' || row_number() OVER (ORDER BY t.id), 'Deployment', $1, t.id,
	t.agent_id, v.id, 'Pending', 3
FROM certificate_target_mappings m
JOIN deployment_targets t ON t.id = m.target_id
CROSS JOIN LATERAL (
	SELECT v.id FROM certificate_versions v
	WHERE v.certificate_id = $1
		AND (v.agent_id = t.agent_id OR v.agent_id IS NULL)
	ORDER BY v.created_at DESC, v.id DESC LIMIT 1) v
WHERE m.certificate_id = $1 AND t.enabled AND t.retired_at IS NULL
	AND ($3::text IS NULL OR t.id = $3)
ON CONFLICT (certificate_id, target_id)
	WHERE type = 'Deployment' AND status = 'Pending'
	DO UPDATE SET version_id = excluded.version_id
RETURNING id;

-- :name certificate_open_job
SELECT id FROM jobs
WHERE certificate_id = $1 AND type IN ('Issuance', 'Renewal')
	AND status IN ('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running')
ORDER BY created_at, id LIMIT 1;
