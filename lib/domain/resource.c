#include "domain/resource.h"

#include "base/text.h"
#include "codec/json.h"

static int
not_found(const struct resource *r, const char *id, struct err *e)
{
	return err_set(e, E_NOT_FOUND, "%s \"%s\" does not exist",
	    r->verb_name, id);
}

int
resource_get(struct ctx *c, const struct resource *r, const char *id,
    void *obj, struct err *e)
{
	struct db_batch *b;

	if (ctx_read(c, r->get, &b, e, db_text(id)) < 0)
		return -1;
	return db_take(b, 0, r->view.fields, obj) ? 0 : not_found(r, id, e);
}

static const char *
action(struct ctx *c, const struct resource *r, const char *verb)
{
	return arena_printf(c->a, "%s_%s", verb, r->verb_name);
}

static void
push(struct ctx *c, const struct resource *r, enum query q, void *obj,
    struct db_batch *b)
{
	struct db_arg args[RESOURCE_MAX_ARGS];
	size_t n = r->args(c, obj, args);

	db_add_args(b, q, args, n);
}

struct id_only {
	const char *id;
};

static const struct field id_fields[] = {
	FIELD(struct id_only, id, TEXT, 0, 128),
	FIELD_END
};

/* The id the caller chose, if any. */
static int
chosen_id(struct ctx *c, const struct json *body, struct resource_head *obj,
    struct err *e)
{
	struct id_only chosen = { 0 };

	if (json_read(c->a, body, id_fields, 0, &chosen, e) < 0)
		return -1;
	if (blank(chosen.id))
		return 0;
	if (!safe_id(chosen.id))
		return err_set(e, E_INVALID, "id is 1 to 128 of letters, "
		    "digits, \".\", \"_\" and \"-\"");
	obj->id = chosen.id;
	return 0;
}

int
resource_create(struct ctx *c, const struct resource *r,
    const struct json *body, void *obj, struct err *e)
{
	struct resource_head *head = obj;
	struct db_batch *b;

	if (r->defaults != NULL)
		r->defaults(c, obj);
	db_begin(c->db);
	if (json_read(c->a, body, r->view.fields, 0, obj, e) < 0 ||
	    chosen_id(c, body, head, e) < 0 ||
	    (r->check != NULL && r->check(c, obj, NULL, e) < 0))
		goto fail;
	if (head->id == NULL)
		head->id = id_new(c->a, r->id_prefix);
	b = db_batch(c->db, c->a);
	push(c, r, r->insert, obj, b);
	ctx_audit(c, b, action(c, r, "create"), r->name, head->id, NULL);
	if (ctx_commit(c, b, 201, e) < 0)
		goto fail;
	db_take(b, 0, r->view.fields, obj);
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}

int
resource_update(struct ctx *c, const struct resource *r, const char *id,
    const struct json *body, void *obj, struct err *e)
{
	void *old = arena_zalloc(c->a, r->view.size);
	struct db_batch *b = db_batch(c->db, c->a);

	db_begin(c->db);
	db_add(b, r->lock, db_text(id));
	if (db_run(b, e) < 0)
		goto fail;
	if (!db_take(b, 0, r->view.fields, old)) {
		not_found(r, id, e);
		goto fail;
	}
	memcpy(obj, old, r->view.size);
	if (json_read(c->a, body, r->view.fields, 0, obj, e) < 0 ||
	    (r->check != NULL && r->check(c, obj, old, e) < 0))
		goto fail;
	b = db_batch(c->db, c->a);
	push(c, r, r->update, obj, b);
	ctx_audit(c, b, action(c, r, "update"), r->name, id, NULL);
	if (ctx_commit(c, b, 200, e) < 0)
		goto fail;
	db_take(b, 0, r->view.fields, obj);
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}

int
resource_delete(struct ctx *c, const struct resource *r, const char *id,
    struct err *e)
{
	struct db_batch *b = db_batch(c->db, c->a);

	db_begin(c->db);
	db_add(b, r->delete, db_text(id));
	if (db_run(b, e) < 0) {
		/* Something refers to it: that is what RESTRICT is for. */
		if (e->code == E_INVALID)
			err_set(e, E_CONFLICT, "%s \"%s\" is still in use",
			    r->verb_name, id);
		goto fail;
	}
	if (db_count(b, 0) == 0) {
		not_found(r, id, e);
		goto fail;
	}
	b = db_batch(c->db, c->a);
	ctx_audit(c, b, action(c, r, "delete"), r->name, id, NULL);
	if (ctx_commit(c, b, 204, e) < 0)
		goto fail;
	return 0;
fail:
	db_rollback(c->db);
	return -1;
}
