-- Run after every migration, so that a role made later gets its rights too.
-- certctl_api: what the responders do, and no more.
DO $$
BEGIN
	REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
	REVOKE UPDATE, DELETE, TRUNCATE ON audit_events FROM CURRENT_USER;
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'certctl_api') THEN
		RETURN;
	END IF;
	GRANT USAGE ON SCHEMA public TO certctl_api;
	GRANT SELECT ON ALL TABLES IN SCHEMA public TO certctl_api;
	REVOKE SELECT ON issuance_intents FROM certctl_api;
	GRANT INSERT, UPDATE, DELETE ON teams, owners, agents,
		certificate_profiles, renewal_policies, issuers,
		deployment_targets, certificate_target_mappings, jobs
		TO certctl_api;
	GRANT INSERT, UPDATE ON managed_certificates TO certctl_api;
	GRANT INSERT ON audit_events TO certctl_api;
	GRANT INSERT, UPDATE ON certificate_revocations TO certctl_api;
	GRANT UPDATE (crl_wanted_at) ON ca_keys TO certctl_api;
	REVOKE SELECT ON ocsp_responders FROM certctl_api;
END $$;

-- certctl_pki: what is public anyway, and the keys of its own responders.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'certctl_pki') THEN
		RETURN;
	END IF;
	GRANT USAGE ON SCHEMA public TO certctl_pki;
	GRANT SELECT ON schema_migrations, installation, ca_keys,
		issuer_ca_keys, crls, certificate_versions,
		certificate_revocations, ocsp_responders TO certctl_pki;
	-- It can open what is sealed, so it must not see the configurations.
	GRANT SELECT (id) ON issuers TO certctl_pki;
END $$;

-- certctl_est: what an enrolment reads and writes; it opens no issuer that the
-- workers have not opened before.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'certctl_est') THEN
		RETURN;
	END IF;
	GRANT USAGE ON SCHEMA public TO certctl_est;
	GRANT SELECT ON schema_migrations, installation, issuers, ca_keys,
		issuer_ca_keys, certificate_profiles, teams, owners, renewal_policies,
		managed_certificates, certificate_versions,
		certificate_revocations, jobs TO certctl_est;
	GRANT SELECT (issuer_id, serial_number, certificate_id, resolved_at)
		ON issuance_intents TO certctl_est;
	GRANT INSERT ON managed_certificates, certificate_versions,
		certificate_revocations, issuance_intents, jobs, audit_events
		TO certctl_est;
	GRANT UPDATE (status, sans, issued_at, expires_at, last_renewal_at,
		updated_at) ON managed_certificates TO certctl_est;
	GRANT UPDATE (resolved_at) ON issuance_intents TO certctl_est;
	GRANT UPDATE (crl_wanted_at) ON ca_keys TO certctl_est;
END $$;
