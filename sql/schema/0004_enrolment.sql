-- Certificates whose holders ask for them themselves, over EST.

-- Who enrolled: protocol, profile, and a hash of the name.  One certificate of
-- each is alive; a revoked or archived one stays behind as it is.
ALTER TABLE managed_certificates ADD COLUMN enrolled_as text;
CREATE UNIQUE INDEX managed_certificates_enrolled
	ON managed_certificates (enrolled_as)
	WHERE status <> 'Archived' AND (status <> 'Revoked'
		OR revocation_reason = 'certificateHold');

-- A request that could not be answered at once: the hash of its profile and
-- CSR, by which the client that comes back is known again.
ALTER TABLE jobs ADD COLUMN enrolment text;
CREATE INDEX jobs_enrolment ON jobs (enrolment) WHERE enrolment IS NOT NULL;

-- Whose they are where the settings name nobody.
INSERT INTO teams (id, name) VALUES ('t-est', 'EST') ON CONFLICT DO NOTHING;
INSERT INTO owners (id, name, team_id)
SELECT 'o-est', 'EST', id FROM teams WHERE id = 't-est' ON CONFLICT DO NOTHING;

-- What stays as it is leaves no trace in the totals: most enrolments renew, and
-- a renewal changes nothing that lists filter by.
CREATE OR REPLACE FUNCTION certificate_counts_add() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO certificate_counts
		SELECT status, environment, owner_id, team_id, issuer_id,
		       certificate_profile_id, count(*)
		  FROM new_rows GROUP BY 1, 2, 3, 4, 5, 6;
	ELSIF TG_OP = 'DELETE' THEN
		INSERT INTO certificate_counts
		SELECT status, environment, owner_id, team_id, issuer_id,
		       certificate_profile_id, -count(*)
		  FROM old_rows GROUP BY 1, 2, 3, 4, 5, 6;
	ELSE
		INSERT INTO certificate_counts
		SELECT status, environment, owner_id, team_id, issuer_id,
		       certificate_profile_id, sum(n)
		  FROM (SELECT status, environment, owner_id, team_id,
		               issuer_id, certificate_profile_id, -1 AS n
		          FROM old_rows
		        UNION ALL
		        SELECT status, environment, owner_id, team_id,
		               issuer_id, certificate_profile_id, 1
		          FROM new_rows) d
		 GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(n) <> 0;
	END IF;
	RETURN NULL;
END $$;

-- A version is written once and read whole: it stays in one piece, where
-- squeezing its PEM below 2 KiB would cost more than the signature.
ALTER TABLE certificate_versions SET (toast_tuple_target = 8160);
