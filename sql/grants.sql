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
END $$;
