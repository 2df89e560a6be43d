-- What relying parties ask for, without a name or a key of theirs.

-- :name publish_keys
-- Every CA key with the OCSP responder that signs for it now, once for each
-- issuer it belongs or belonged to.
SELECT k.id, k.name, l.issuer_id, k.cert_pem, r.id AS responder_id,
	r.cert_pem AS responder_pem, r.sealed_key, r.not_after
FROM issuer_ca_keys l JOIN ca_keys k ON k.id = l.ca_key_id
LEFT JOIN LATERAL (SELECT * FROM ocsp_responders o
	WHERE o.ca_key_id = k.id AND o.not_before <= now()
		AND o.not_after > now()
	ORDER BY o.created_at DESC LIMIT 1) r ON true
ORDER BY l.active DESC, l.created_at DESC;

-- :name publish_news
-- Another number than before: there is a key or a responder to be looked at.
SELECT (SELECT count(*) FROM issuer_ca_keys) + (SELECT count(*) FROM ocsp_responders
	WHERE not_before <= now());

-- :name ocsp_status
-- One row if the CA key ever signed the serial; what was taken off hold has
-- both instants.
SELECT r.revoked_at, r.released_at, r.reason
FROM certificate_versions v
LEFT JOIN certificate_revocations r ON r.issuer_id = v.issuer_id
	AND r.serial_number = v.serial_number
WHERE v.ca_key_id = $1 AND v.serial_number = $2;

-- :name crl_get
-- The newest CRL of scope $2 of a CA key, or of an issuer's active one.  A list
-- that is not cut into shards is all of them.
SELECT c.der, c.number, c.this_update, c.next_update, c.sha256
FROM ca_keys k
JOIN crls c ON c.ca_key_id = k.id
	AND (c.scope = $2 OR (c.scope = 'full' AND $2 LIKE 'shard-%'))
WHERE k.id = $1 OR k.name = $1 OR k.id = (SELECT l.ca_key_id
	FROM issuer_ca_keys l WHERE l.issuer_id = $1 AND l.active)
ORDER BY k.name = $1 DESC, c.scope = $2 DESC LIMIT 1;

-- :name issuer_known
-- Is there such an issuer, and does it publish here?
SELECT i.id, EXISTS (SELECT FROM issuer_ca_keys l WHERE l.issuer_id = i.id)
	AS publishes
FROM issuers i WHERE i.id = $1
UNION ALL
SELECT k.id, true FROM ca_keys k WHERE k.id = $1 OR k.name = $1;

-- :name crl_cache
-- :audited
-- Every issuer with its newest complete list, and what became of the last runs.
SELECT i.id AS issuer_id, c.number IS NOT NULL AS cache_present,
	c.number AS crl_number, c.this_update, c.next_update, c.generated_at,
	c.duration_ms AS generation_duration_ms, c.revoked_count,
	octet_length(c.der) AS size_bytes,
	coalesce(c.next_update < now(), false) AS is_stale,
	coalesce((SELECT jsonb_agg(to_jsonb(v) ORDER BY v.started_at DESC)
		FROM (SELECT to_char(e.started_at AT TIME ZONE 'UTC',
				'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS started_at,
			e.duration_ms, e.succeeded, e.crl_number,
			e.revoked_count, e.error
		FROM crl_generation_events e
		WHERE e.ca_key_id IN (SELECT o.ca_key_id
			FROM issuer_ca_keys o WHERE o.issuer_id = i.id)
		ORDER BY e.seq DESC LIMIT 5) v), '[]') AS recent_events
FROM issuers i
LEFT JOIN issuer_ca_keys k ON k.issuer_id = i.id AND k.active
LEFT JOIN crls c ON c.ca_key_id = k.ca_key_id AND c.scope = 'full'
ORDER BY i.id;
