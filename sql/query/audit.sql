-- What happened; rows are only ever added.

-- :name audit_add
-- The record of a change commits with the change.
INSERT INTO audit_events (actor, actor_type, action, resource_type,
	resource_id, details, event_category)
VALUES ($1, $2, $3, $4, $5, nullif($6::jsonb, '{}'), $7);

-- :name audit_call
-- The record of an API call beside a change.
INSERT INTO audit_events (actor, actor_type, action, resource_type,
	resource_id, details)
VALUES ($1, $2, $3, 'api', $4, jsonb_build_object('method', $5::text,
	'path', $4::text, 'body_hash', $6::text, 'status', $8::integer,
	'latency_ms', (date_part('epoch', clock_timestamp()) * 1000
	- $7::float8)::integer));

-- :name audit_call_lazy
-- The record of a call that changed nothing: it need not wait for the disk.
INSERT INTO audit_events (actor, actor_type, action, resource_type,
	resource_id, details)
VALUES ($1, $2, $3, 'api', $4, jsonb_build_object('method', $5::text,
	'path', $4::text, 'body_hash', $6::text, 'status', $8::integer,
	'latency_ms', (date_part('epoch', clock_timestamp()) * 1000
	- $7::float8)::integer))
RETURNING set_config('synchronous_commit', 'off', true);

-- :name audit_get
-- :audited
SELECT 'audit-' || seq AS id, actor, actor_type, action, resource_type,
	resource_id, details, event_category, timestamp
FROM audit_events WHERE seq = $1::bigint;

-- :list audit_events
-- :filter actor          text c.actor = $
-- :filter actor_type     text c.actor_type = $
-- :filter action         text c.action = $
-- :filter resource_type  text c.resource_type = $
-- :filter resource_id    text c.resource_id = $
-- :filter category       text c.event_category = $
-- :filter since          timestamptz c.timestamp >= $
-- :filter until          timestamptz c.timestamp <= $
-- :sort timestamp bigint c.seq
-- :unique c.seq
-- :desc
SELECT 'audit-' || c.seq AS id, c.actor, c.actor_type, c.action,
	c.resource_type, c.resource_id, c.details, c.event_category,
	c.timestamp
FROM audit_events c;
