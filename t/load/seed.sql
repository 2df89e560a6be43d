-- :certificates of them for t/load, each with one version: its serial is 10
-- and the number in hex.  Each tenth is revoked.

BEGIN;
INSERT INTO teams (id, name) VALUES ('t-load', 'load');
INSERT INTO owners (id, name, team_id) VALUES ('o-load', 'load', 't-load');
INSERT INTO renewal_policies (id, name, auto_renew, alert_thresholds_days)
VALUES ('rp-load', 'load', false, '{0}');

INSERT INTO managed_certificates (id, name, common_name, sans, environment,
	owner_id, team_id, issuer_id, renewal_policy_id, status, issued_at,
	expires_at, tags)
SELECT 'cert-load-' || n, 'load ' || n, 'host' || n || '.example.org', '{}',
	'load', 'o-load', 't-load', 'iss-local', 'rp-load',
	CASE n % 10 WHEN 0 THEN 'Revoked' ELSE 'Active' END, now(),
	now() + interval '1 year', '{}'
FROM generate_series(1, :certificates) n;

INSERT INTO certificate_versions (id, certificate_id, issuer_id, ca_key_id,
	serial_number, not_before, not_after, fingerprint_sha256, spki_sha256,
	pem_chain, csr_pem, key_algorithm, key_size)
SELECT 'ver-load-' || n, 'cert-load-' || n, 'iss-local', k.id,
	'10' || lpad(to_hex(n), 38, '0'), now(), now() + interval '1 year',
	lpad(n::text, 64, '0'), lpad(n::text, 64, '0'),
	repeat('certificate of the size it has, ', 50),
	repeat('CSR of the size that it has, ', 16), 'ECDSA', 256
FROM generate_series(1, :certificates) n, ca_keys k;

INSERT INTO certificate_revocations (id, certificate_id, issuer_id, ca_key_id,
	serial_number, reason, revoked_by, not_after)
SELECT 'rev-load-' || v.id, v.certificate_id, v.issuer_id, v.ca_key_id,
	v.serial_number, 'superseded', 'load', v.not_after
FROM certificate_versions v
WHERE v.id LIKE 'ver-load-%0';
COMMIT;
VACUUM ANALYZE;
CHECKPOINT;
