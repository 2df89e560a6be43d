-- An inventory for t/bench: :certificates of them, and 1,000 agents with a
-- target each.  The key of an agent is made of its id (see load.lua).
--
-- Of 20 certificates 17 are Active, for 35 to 395 days to come; the others are
-- Expiring, Expired and Failed under a policy that does not renew.

BEGIN;
INSERT INTO teams (id, name)
SELECT 't-bench' || CASE n WHEN 0 THEN '' ELSE '-' || n END, 'bench ' || n
FROM generate_series(0, 9) n;

INSERT INTO owners (id, name, team_id)
SELECT 'o-bench' || CASE n WHEN 0 THEN '' ELSE '-' || n END, 'bench ' || n,
	't-bench'
FROM generate_series(0, 99) n;

INSERT INTO renewal_policies (id, name, auto_renew, alert_thresholds_days)
VALUES ('rp-bench', 'bench', false, '{0}');

INSERT INTO agents (id, name, hostname, api_key_hash, last_heartbeat_at)
SELECT 'agent-bench-' || n, 'bench-' || n, 'host' || n || '.example.org',
	encode(sha256(convert_to('key-of-agent-bench-' || n, 'UTF8')), 'hex'),
	now()
FROM generate_series(1, 1000) n;

INSERT INTO deployment_targets (id, name, type, agent_id)
SELECT 'tgt-bench-' || n, 'bench', 'NGINX', 'agent-bench-' || n
FROM generate_series(1, 1000) n
UNION ALL
SELECT 'tgt-bench', 'bench create', 'NGINX', 'agent-bench-1';

INSERT INTO managed_certificates (id, name, common_name, sans, environment,
	owner_id, team_id, issuer_id, renewal_policy_id, status, issued_at,
	expires_at, tags)
SELECT 'cert-bench-' || n, 'bench ' || n, 'host' || n || '.example.org',
	ARRAY['host' || n || '.example.org', 'www' || n || '.example.org'],
	(ARRAY['production', 'staging', 'development'])[1 + n % 3],
	'o-bench-' || 1 + n % 99, 't-bench-' || 1 + n % 9, 'iss-local',
	CASE WHEN s.status = 'Active' THEN 'rp-default' ELSE 'rp-bench' END,
	s.status, e.expires_at - interval '398 days', e.expires_at,
	jsonb_build_object('service', 'svc-' || n % 50)
FROM generate_series(1, :certificates) n
CROSS JOIN LATERAL (SELECT CASE n % 20 WHEN 0 THEN 'Expiring'
		WHEN 1 THEN 'Expired' WHEN 2 THEN 'Failed'
		ELSE 'Active' END AS status) s
CROSS JOIN LATERAL (SELECT now() + CASE s.status
		WHEN 'Expiring' THEN make_interval(hours => 1 + n % 600)
		WHEN 'Expired' THEN make_interval(hours => -721 - n % 600)
		ELSE make_interval(mins => 50400 + n * 7919 % 518400) END
		AS expires_at) e;

INSERT INTO certificate_target_mappings (certificate_id, target_id)
SELECT 'cert-bench-' || n, 'tgt-bench-' || 1 + n % 1000
FROM generate_series(1, :certificates) n;

-- One certificate for all that OCSP is asked about: as many versions as there
-- are certificates, serial 10 and the number in hex, each tenth revoked.
INSERT INTO managed_certificates (id, name, common_name, sans, environment,
	owner_id, team_id, issuer_id, renewal_policy_id, status, issued_at,
	expires_at, tags)
VALUES ('cert-bench-ocsp', 'bench OCSP', 'ocsp.example.org', '{}', 'bench',
	'o-bench', 't-bench', 'iss-local', 'rp-bench', 'Failed', NULL, NULL,
	'{}');

INSERT INTO certificate_versions (id, certificate_id, issuer_id, ca_key_id,
	serial_number, not_before, not_after, fingerprint_sha256, spki_sha256,
	pem_chain, csr_pem, key_algorithm, key_size)
SELECT 'ver-bench-' || n, 'cert-bench-ocsp', 'iss-local', k.id,
	'10' || lpad(to_hex(n), 38, '0'), now(), now() + interval '1 year',
	lpad(n::text, 64, '0'), lpad(n::text, 64, '0'),
	repeat('certificate of the size it has, ', 50),
	repeat('CSR of the size that it has, ', 16), 'ECDSA', 256
FROM generate_series(1, :certificates) n, ca_keys k;

INSERT INTO certificate_revocations (id, certificate_id, issuer_id, ca_key_id,
	serial_number, reason, revoked_by, not_after)
SELECT 'rev-bench-' || v.id, v.certificate_id, v.issuer_id, v.ca_key_id,
	v.serial_number, 'superseded', 'bench', v.not_after
FROM certificate_versions v
WHERE v.id LIKE 'ver-bench-%' AND right(v.id, 1) = '0';

-- The bare program enrols as the API.
GRANT INSERT ON certificate_versions TO certctl_api;
COMMIT;
VACUUM ANALYZE;
CHECKPOINT;
