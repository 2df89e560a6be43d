-- CA keys, their CRLs and OCSP responders, as the workers keep them.

-- :name ca_key_keep
-- Known again, or new; the issuer's other keys publish on, but sign no more.
-- Of the certificates that a CA has, the issuers that share it publish the one
-- that ends last.
WITH off AS (
	UPDATE issuer_ca_keys SET active = false
	WHERE issuer_id = $2 AND ca_key_id <> $1 AND active
	RETURNING ca_key_id
), k AS (
	INSERT INTO ca_keys (id, cert_pem, key_ref, subject, not_after)
	VALUES ($1, $3, $4, $5::bytea, $6::timestamptz)
	ON CONFLICT (id) DO UPDATE SET closed = false,
		cert_pem = excluded.cert_pem, key_ref = excluded.key_ref,
		not_after = excluded.not_after, updated_at = now()
	WHERE ca_keys.closed OR ((ca_keys.cert_pem <> excluded.cert_pem
		OR ca_keys.key_ref <> excluded.key_ref)
		AND (ca_keys.not_after <= excluded.not_after
		OR NOT EXISTS (SELECT FROM issuer_ca_keys o
			WHERE o.ca_key_id = $1 AND o.issuer_id <> $2
			AND o.active)))
)
INSERT INTO issuer_ca_keys AS old (issuer_id, ca_key_id)
SELECT $2, $1 FROM (SELECT count(*) FROM off) done
ON CONFLICT (issuer_id, ca_key_id) DO UPDATE SET active = true
WHERE NOT old.active;

-- :name ca_key_assign
-- What was issued and revoked before the key was known.
WITH v AS (
	UPDATE certificate_versions SET ca_key_id = $1
	WHERE issuer_id = $2 AND ca_key_id IS NULL
), r AS (
	UPDATE certificate_revocations SET ca_key_id = $1
	WHERE issuer_id = $2 AND ca_key_id IS NULL
	RETURNING id
)
UPDATE ca_keys SET crl_wanted_at = now()
WHERE id = $1 AND EXISTS (SELECT FROM r);

-- :name crl_claim
-- One CA key whose CRL is wanted now, or for which nobody asked and whose CRL
-- is missing, unfinished, $1 seconds from its end or made $2 seconds ago, by
-- this clock: a worker whose own is behind would make it again and again.  A key
-- that is closed has none but those that are wanted.  Of those whose last CRL
-- had more than $5 entries if $6, of the others if not.  It is this worker's for
-- $3 seconds; what is revoked from now on asks anew.  An instant further off
-- than anyone sets it, $3 or $4 seconds, is of a clock that was set back since.
-- Revocations lock the row one after the other: who did not wait in turn might
-- never find it free.
UPDATE ca_keys SET crl_number = crl_number + 1, crl_wanted_at = NULL,
	crl_leased_until = now() + make_interval(secs => $3)
WHERE id = (SELECT k.id FROM ca_keys k
	LEFT JOIN crls c ON c.ca_key_id = k.id AND c.scope = 'full'
	WHERE (coalesce(c.revoked_count, 0) > $5) = $6::boolean
		AND (k.crl_leased_until IS NULL
		OR k.crl_leased_until < now()
		OR k.crl_leased_until > now() + make_interval(secs => $3))
		AND (k.crl_wanted_at <= now()
		OR k.crl_wanted_at > now() + make_interval(secs => $4)
		OR (k.crl_wanted_at IS NULL AND (c.number IS NULL
		OR k.crl_leased_until IS NOT NULL
		OR ((NOT k.closed OR EXISTS (SELECT FROM issuer_ca_keys l
			WHERE l.ca_key_id = k.id AND l.active))
		AND (c.next_update < now() + make_interval(secs => $1)
		OR c.generated_at < now() - make_interval(secs => $2))))))
	ORDER BY k.crl_wanted_at NULLS LAST LIMIT 1
	FOR NO KEY UPDATE OF k)
RETURNING id, name, cert_pem, key_ref, crl_number;

-- :name crl_entries
-- The next $4 entries behind serial $2 of CA key $1.  An expired one stands on
-- one CRL more, made at $3 or later; one taken off hold is among them if that
-- was at $5 or later.
SELECT serial_number, revoked_at, reason, released_at IS NOT NULL AS released
FROM certificate_revocations
WHERE ca_key_id = $1 AND serial_number > $2 AND NOT unlisted
	AND (not_after > $3::timestamptz OR last_listed_at IS NULL)
	AND (released_at IS NULL OR released_at >= $5::timestamptz)
ORDER BY serial_number LIMIT $4;

-- :name crl_previous
-- The list before, what the delta before adds to, and if there are shards.
SELECT f.ca_key_id, f.scope, f.number, octet_length(f.der) AS size,
	f.this_update, f.revoked_count, d.base_number, d.base_update,
	EXISTS (SELECT FROM crls s WHERE s.ca_key_id = $1
		AND s.scope LIKE 'shard-%') AS sharded
FROM crls f
LEFT JOIN crls d ON d.ca_key_id = f.ca_key_id AND d.scope = 'delta'
WHERE f.ca_key_id = $1 AND f.scope = 'full';

-- :name crl_part
-- $5 octets from the $4th on of the list, if its number still is $3.
SELECT substring(der FROM $4 FOR $5) AS der FROM crls
WHERE ca_key_id = $1 AND scope = $2 AND number = $3;

-- :name crl_gone
-- Of the serials $2, those that may be missing from a new CRL.
SELECT count(*) FROM certificate_revocations
WHERE ca_key_id = $1 AND serial_number = ANY ($2::text[])
	AND (released_at IS NOT NULL
	OR (not_after <= now() AND last_listed_at IS NOT NULL));

-- :name crl_store
-- The newer number wins; expired entries have now been listed once more.
WITH c AS (
	INSERT INTO crls AS old (ca_key_id, scope, number, base_number,
		base_update, this_update, next_update, der, sha256,
		revoked_count, duration_ms)
	VALUES ($1, $2, $3, nullif($4, 0), $11::timestamptz, $5::timestamptz,
		$6::timestamptz, $7::bytea, $8, $9, $10)
	ON CONFLICT (ca_key_id, scope) DO UPDATE SET number = excluded.number,
		base_number = excluded.base_number,
		base_update = excluded.base_update,
		this_update = excluded.this_update,
		next_update = excluded.next_update, der = excluded.der,
		sha256 = excluded.sha256,
		revoked_count = excluded.revoked_count,
		duration_ms = excluded.duration_ms, generated_at = now()
	WHERE old.number < excluded.number
	RETURNING ca_key_id
)
UPDATE certificate_revocations SET last_listed_at = $5::timestamptz
WHERE ca_key_id = (SELECT ca_key_id FROM c) AND $2 = 'full'
	AND released_at IS NULL AND not_after <= $5::timestamptz
	AND last_listed_at IS NULL;

-- :name crl_files
-- Every list, to see which are not yet files as they are; once for each issuer
-- that signs with the key.  Those of keys with more than $1 entries if $2, of
-- the others if not.
SELECT k.id AS ca_key_id, k.name, l.issuer_id, c.scope, c.number, c.sha256,
	c.this_update, octet_length(c.der) AS size
FROM ca_keys k
JOIN crls f ON f.ca_key_id = k.id AND f.scope = 'full'
	AND (f.revoked_count > $1) = $2::boolean
JOIN crls c ON c.ca_key_id = k.id
LEFT JOIN issuer_ca_keys l ON l.ca_key_id = k.id AND l.active
	AND c.scope = 'full';

-- :name crl_done
-- The outcome of a run; a failed one is tried again in $7 seconds.  A key that
-- signs no more has no CRL after the first that is made, at $8, when all of its
-- certificates have expired.
WITH k AS (
	UPDATE ca_keys SET crl_leased_until = NULL, crl_wanted_at = CASE
		WHEN $5::boolean THEN crl_wanted_at
		ELSE least(crl_wanted_at, now() + make_interval(secs => $7))
		END, closed = $5::boolean
		AND NOT EXISTS (SELECT FROM issuer_ca_keys l
			WHERE l.ca_key_id = $1 AND l.active)
		AND NOT EXISTS (SELECT FROM certificate_versions v
			WHERE v.ca_key_id = $1
			AND v.not_after >= $8::timestamptz)
	WHERE id = $1
)
INSERT INTO crl_generation_events (ca_key_id, crl_number, duration_ms,
	revoked_count, started_at, succeeded, error)
VALUES ($1, $2, $3::integer, $4,
	now() - make_interval(secs => $3::integer / 1000.0), $5::boolean, $6);

-- :name responders_wanted
-- CA keys that can still sign one and whose newest responder ends within $1
-- seconds.  One that only begins later is of a clock that was set back since.
SELECT k.id, i.issuer_id, k.cert_pem, k.key_ref, o.id AS rotated_from
FROM ca_keys k
CROSS JOIN LATERAL (SELECT l.issuer_id FROM issuer_ca_keys l
	WHERE l.ca_key_id = k.id
	ORDER BY l.active DESC, l.created_at LIMIT 1) i
LEFT JOIN LATERAL (SELECT r.id, r.not_after FROM ocsp_responders r
	WHERE r.ca_key_id = k.id AND r.not_before <= now()
	ORDER BY r.created_at DESC LIMIT 1) o ON true
WHERE k.not_after > now() + interval '1 hour'
	AND (o.id IS NULL OR o.not_after < least(
		now() + make_interval(secs => $1), k.not_after))
ORDER BY k.id;

-- :name responder_lock
SELECT pg_try_advisory_xact_lock(7237, hashtext($1));

-- :name responder_store
-- Unless another was quicker: its newest is not the one this one replaces.
INSERT INTO ocsp_responders (id, ca_key_id, cert_pem, cert_serial, sealed_key,
	key_alg, not_before, not_after, rotated_from)
SELECT $1, $2, $3, $4, $5::bytea, $6, $7::timestamptz, $8::timestamptz, $9
WHERE $9::text IS NOT DISTINCT FROM (SELECT id FROM ocsp_responders
	WHERE ca_key_id = $2 AND not_before <= now()
	ORDER BY created_at DESC LIMIT 1);

-- :name responders_forget
-- Those whose answers no cache can hold any more.
DELETE FROM ocsp_responders WHERE not_after < now() - interval '2 days';

-- :name crl_events_forget
DELETE FROM crl_generation_events WHERE started_at < now() - interval '30 days';

-- :name revocations_notify
-- CAs that sign here publish the revocation themselves: nobody is to be told.
UPDATE certificate_revocations r SET issuer_notified = true
WHERE NOT issuer_notified AND ca_key_id IS NOT NULL;

-- :name issuers_enabled
SELECT id AS issuer_id, type AS issuer_type, config, encrypted_config,
	ca_cert_pem, (extract(epoch FROM updated_at) * 1000000)::bigint
		AS issuer_revision
FROM issuers WHERE enabled ORDER BY id;
