/*
 * The local CA: self-signed, made once and kept, or a CA from files.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/private.h"
#include "base/text.h"
#include "issuer/types.h"
#include "sign/sign.h"
#include "x509/ca.h"
#include "x509/crl.h"
#include "x509/digest.h"
#include "x509/name.h"
#include "x509/pem.h"
#include "x509/tbs.h"

enum {
	DAY_S = 86400,
	BACKDATE_S = 300,	/* for relying parties whose clock is late */
	CA_DAYS = 3650,
	CA_FILE_MAX = 256 * 1024,
	URLS_MAX = 8,
	DAYS_MAX = 36500,
};

struct generic_ca_conf {
	const char *ca_common_name;
	int64_t validity_days;
	const char *ca_cert_path, *ca_key_path;
	struct texts crl_distribution_point_urls;
	const char *ocsp_url, *issuer_url;
	const char *key_algorithm;
	int64_t key_size;
};

static const struct field generic_ca_fields[] = {
	FIELD(struct generic_ca_conf, ca_common_name, TEXT, 0,
	    COMMON_NAME_MAX),
	FIELD(struct generic_ca_conf, validity_days, INT, 0, DAYS_MAX, 1),
	FIELD(struct generic_ca_conf, ca_cert_path, TEXT, 0, 4095),
	FIELD(struct generic_ca_conf, ca_key_path, TEXT, F_SECRET, 4095),
	FIELD(struct generic_ca_conf, crl_distribution_point_urls, TEXTS, 0,
	    URLS_MAX),
	FIELD(struct generic_ca_conf, ocsp_url, TEXT, 0, 2048),
	FIELD(struct generic_ca_conf, issuer_url, TEXT, 0, 2048),
	FIELD(struct generic_ca_conf, key_algorithm, TEXT, 0, 16),
	FIELD(struct generic_ca_conf, key_size, INT, 0, 4096, 0),
	FIELD_END
};

struct generic_ca {
	struct arena *a;
	const struct generic_ca_conf *conf;
	const char *key_ref;
	struct signer *signer;
	struct ca *ca;
};

static void
generic_ca_defaults(void *p)
{
	struct generic_ca_conf *conf = p;

	conf->ca_common_name = "CertCtl Local CA";
	conf->validity_days = 90;
	conf->key_algorithm = "ECDSA";
}

/* A key_size that is not given is the least the algorithm is good for. */
static struct key_type
ca_key_type(const struct generic_ca_conf *conf)
{
	struct key_type t = { conf->key_algorithm, (int)conf->key_size };

	if (t.bits == 0)
		t.bits = streq(t.algorithm, "RSA") ? 3072 : 256;
	return t;
}

static int
check_url(const char *name, const char *url, struct err *e)
{
	struct arena *a;
	struct san s = { 0 };
	int rc;

	if (blank(url))
		return 0;
	a = arena_new();
	rc = san_parse(a, url, &s, e);
	if (rc == 0 && (strncmp(url, "http://", 7) != 0 &&
	    strncmp(url, "https://", 8) != 0))
		rc = err_set(e, E_INVALID, "\"%.256s\" is not an HTTP URL",
		    url);
	arena_free(a);
	return rc < 0 ? err_prefix(e, "%s", name) : 0;
}

static int
generic_ca_check(const void *p, struct err *e)
{
	const struct generic_ca_conf *conf = p;
	const struct texts *crls = &conf->crl_distribution_point_urls;

	if (blank(conf->ca_cert_path) != blank(conf->ca_key_path))
		return err_set(e, E_INVALID, "ca_cert_path and ca_key_path "
		    "must be given both or neither");
	if (blank(conf->ca_common_name))
		return err_set(e, E_INVALID, "ca_common_name is empty");
	if (name_check_labels("ca_common_name", conf->ca_common_name,
	    strlen(conf->ca_common_name), e) < 0 ||
	    sign_check_type(ca_key_type(conf), e) < 0 ||
	    check_url("ocsp_url", conf->ocsp_url, e) < 0 ||
	    check_url("issuer_url", conf->issuer_url, e) < 0)
		return -1;
	for (size_t i = 0; i < crls->n; i++)
		if (check_url("crl_distribution_point_urls", crls->v[i],
		    e) < 0)
			return -1;
	return 0;
}

/* Decide and sign the CA's own certificate. */
static int
make_root(struct generic_ca *g, const char **pem, struct err *e)
{
	struct bytes name = name_of(g->a, g->conf->ca_common_name);
	struct tbs t = {
		.algorithm = sign_algorithm(g->signer),
		.issuer = name,
		.subject = name,
		.spki = sign_spki(g->signer),
		.not_before = now_s() - BACKDATE_S,
		.not_after = now_s() + (int64_t)CA_DAYS * DAY_S,
		.ca = true,
		.key_usage = USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN,
	};
	struct bytes tbs, signature, der;
	struct x509_cert cert;

	serial_new(t.serial);
	if (tbs_make(g->a, &t, &tbs, e) < 0 ||
	    sign_tbs(g->signer, g->a, tbs, SIGN_CA, &signature, e) < 0)
		return -1;
	der = cert_assemble(g->a, tbs, t.algorithm, signature);
	if (cert_from_der(g->a, der.p, der.len, &cert, e) < 0)
		return -1;
	*pem = cert.pem;
	return 0;
}

static int
read_ca(struct generic_ca *g, const char *path, const char **pem,
    struct err *e)
{
	struct bytes text;

	if (file_read(g->a, path, CA_FILE_MAX, &text, e) < 0) {
		e->code = E_INVALID;
		return err_prefix(e, "CA certificate");
	}
	*pem = (const char *)text.p;
	return 0;
}

/*
 * The certificate at PATH, made if there is none.  Another process may make
 * it at the same time: the first one counts, so it is read back.
 */
static int
keep_root(struct generic_ca *g, const char *path, const char **pem,
    struct err *e)
{
	bool made;

	if (!file_exists(path) && (make_root(g, pem, e) < 0 ||
	    file_make(path, *pem, strlen(*pem), 0644, &made, e) < 0))
		return -1;
	return read_ca(g, path, pem, e);
}

static int
open_self_signed(struct generic_ca *g, const struct issuer_env *env,
    const char **pem, struct err *e)
{
	const char *dir = arena_printf(g->a, "%s/ca", env->state_dir);
	const char *key, *cert;
	bool made;

	if (!safe_id(env->issuer_id))
		return err_set(e, E_INVALID,
		    "issuer id \"%.128s\" cannot name a file", env->issuer_id);
	/* The certificate lies here until it is stored, the key with the
	 * signer. */
	if (blank(env->ca_cert_pem) && private_dir(dir, e) < 0)
		return -1;
	key = arena_printf(g->a, "%s.key", env->issuer_id);
	cert = arena_printf(g->a, "%s/%s.pem", dir, env->issuer_id);
	/* A new key would be of no use to a CA that exists. */
	if (blank(env->ca_cert_pem) && !file_exists(cert) &&
	    sign_create_key(key, ca_key_type(g->conf), &made, e) < 0)
		return -1;
	g->key_ref = key;
	g->signer = sign_open(key, e);
	if (g->signer == NULL)
		return -1;
	*pem = env->ca_cert_pem;
	return blank(*pem) ? keep_root(g, cert, pem, e) : 0;
}

static int
open_files(struct generic_ca *g, const char **pem, struct err *e)
{
	g->key_ref = g->conf->ca_key_path;
	g->signer = sign_open(g->key_ref, e);
	return g->signer == NULL ? -1 :
	    read_ca(g, g->conf->ca_cert_path, pem, e);
}

static int
open_ca(struct generic_ca *g, const struct issuer_env *env, struct err *e)
{
	const char *pem = NULL;

	if ((blank(g->conf->ca_cert_path) ?
	    open_self_signed(g, env, &pem, e) : open_files(g, &pem, e)) < 0)
		return -1;
	g->ca = ca_from_pem(g->a, pem, e);
	if (g->ca == NULL || ca_check_valid(g->ca, now_s(), e) < 0)
		return -1;
	if (!bytes_eq(sign_spki(g->signer), ca_spki_der(g->ca)))
		return err_set(e, E_INVALID,
		    "the CA key does not belong to the CA certificate \"%s\"",
		    ca_cert(g->ca)->subject);
	sign_bind(g->signer, ca_cert(g->ca)->der);
	return 0;
}

static void
generic_ca_close(void *self)
{
	struct generic_ca *g = self;

	sign_close(g->signer);
	arena_free(g->a);
}

static void *
generic_ca_open(const void *conf, const struct issuer_env *env, struct err *e)
{
	struct arena *a = arena_new();
	struct generic_ca *g = arena_zalloc(a, sizeof(*g));

	g->a = a;
	g->conf = conf;
	if (open_ca(g, env, e) < 0) {
		generic_ca_close(g);
		return NULL;
	}
	return g;
}

/* keyEncipherment is what RSA key exchange needs, and nothing else does. */
static unsigned char
key_usage(const struct csr *csr, const struct texts *ekus)
{
	unsigned char usage = USAGE_DIGITAL_SIGNATURE;

	if (streq(csr_key(csr).algorithm, "RSA") &&
	    (texts_has(ekus, "serverAuth") || texts_has(ekus, "clientAuth")))
		usage |= USAGE_KEY_ENCIPHERMENT;
	if (texts_has(ekus, "emailProtection"))
		usage |= USAGE_CONTENT_COMMITMENT;
	return usage;
}

static int64_t
least(int64_t x, int64_t y)
{
	return x < y ? x : y;
}

static void
set_validity(const struct generic_ca *g, const struct issue_args *args,
    struct tbs *t)
{
	const struct x509_cert *ca = ca_cert(g->ca);
	int64_t life = g->conf->validity_days * DAY_S;

	if (args->profile != NULL && args->profile->max_ttl_seconds > 0)
		life = least(life, args->profile->max_ttl_seconds);
	t->not_before = args->now - BACKDATE_S;
	if (t->not_before < ca->not_before)
		t->not_before = ca->not_before;
	t->not_after = least(args->now + life, ca->not_after);
}

/* Where to ask about the certificate: the configuration's word, then ARGS'. */
static void
set_locations(struct arena *a, const struct generic_ca *g,
    const struct issue_args *args, struct tbs *t)
{
	const struct generic_ca_conf *conf = g->conf;

	t->issuer_url = blank(conf->issuer_url) ? args->aia_issuer_url :
	    conf->issuer_url;
	/* RFC 9608: it says that nobody will answer, so nobody is named. */
	t->no_rev_avail = args->profile != NULL && args->profile->short_lived;
	if (t->no_rev_avail)
		return;
	t->must_staple = args->profile != NULL && args->profile->must_staple;
	t->ocsp_url = blank(conf->ocsp_url) ? args->aia_ocsp_url :
	    conf->ocsp_url;
	t->crl_urls = conf->crl_distribution_point_urls;
	if (t->crl_urls.n > 0 || blank(args->cdp_url))
		return;
	texts_add(a, &t->crl_urls, args->cdp_sharded ? arena_printf(a,
	    "%s/shard-%u", args->cdp_url, crl_shard(hex_encode(a, t->serial,
	    sizeof(t->serial)))) : args->cdp_url);
}

static int
set_subject(struct arena *a, const struct issue_args *args, struct tbs *t,
    struct err *e)
{
	const char *cn = args->common_name;
	struct bytes none = name_of(a, NULL);

	if (issuer_names(a, args, &t->sans, e) < 0)
		return -1;
	t->subject = csr_subject_der(args->csr);
	if (t->subject.len == none.len && !blank(cn)) {
		if (name_check_labels("the common name", cn, strlen(cn),
		    e) < 0)
			return -1;
		t->subject = name_of(a, cn);
	}
	if (t->subject.len == none.len && t->sans.n == 0)
		return err_set(e, E_INVALID,
		    "the certificate would name nothing");
	return 0;
}

static int
generic_ca_prepare(void *self, struct arena *a, const struct issue_args *args,
    struct issue_intent *out, struct err *e)
{
	struct generic_ca *g = self;
	struct tbs t = {
		.algorithm = sign_algorithm(g->signer),
		.issuer = ca_subject_der(g->ca),
		.authority_key_id = ca_key_id(g->ca),
		.spki = csr_spki_der(args->csr),
		.ekus = issuer_ekus(args->profile),
	};
	struct bytes tbs;

	if (ca_check_valid(g->ca, args->now, e) < 0) {
		e->code = E_UPSTREAM;	/* no fault of the request's */
		return -1;
	}
	if (set_subject(a, args, &t, e) < 0)
		return -1;
	serial_new(t.serial);
	t.key_usage = key_usage(args->csr, &t.ekus);
	set_validity(g, args, &t);
	set_locations(a, g, args, &t);
	if (tbs_make(a, &t, &tbs, e) < 0 ||
	    ca_check_names(g->ca, a, tbs, e) < 0)
		return -1;
	out->serial = hex_encode(a, t.serial, sizeof(t.serial));
	out->tbs = tbs;
	out->tbs_hash = sha256_hex(tbs.p, tbs.len,
	    arena_alloc(a, SHA256_HEX + 1));
	out->not_before = t.not_before;
	out->not_after = t.not_after;
	return 0;
}

static int
generic_ca_finish(void *self, struct arena *a, struct bytes tbs,
    struct issued *out, struct err *e)
{
	struct generic_ca *g = self;
	struct tbs_info info;
	struct bytes signature;

	if (tbs_read(a, tbs, &info, e) < 0 ||
	    sign_tbs(g->signer, a, tbs, 0, &signature, e) < 0)
		return -1;
	/* What leaves here was seen to be right, not only meant to be. */
	if (ca_check_signature(g->ca, tbs, signature, e) < 0)
		return err_prefix(e, "the new certificate");
	out->der = cert_assemble(a, tbs, sign_algorithm(g->signer),
	    signature);
	out->cert_pem = pem_make(a, "CERTIFICATE", out->der);
	out->chain_pem = arena_strdup(a, ca_pem(g->ca));
	out->order_id = arena_printf(a, "local-%s", info.serial);
	return 0;
}

static const char *
generic_ca_cert(void *self)
{
	struct generic_ca *g = self;

	return ca_pem(g->ca);
}

static const char *
generic_ca_key_ref(void *self)
{
	struct generic_ca *g = self;

	return g->key_ref;
}

const struct issuer_type issuer_generic_ca = {
	.name      = "GenericCA",
	.label     = "Local CA",
	.conf      = generic_ca_fields,
	.conf_size = sizeof(struct generic_ca_conf),
	.defaults  = generic_ca_defaults,
	.check     = generic_ca_check,
	.open      = generic_ca_open,
	.close     = generic_ca_close,
	.prepare   = generic_ca_prepare,
	.finish    = generic_ca_finish,
	.ca_cert   = generic_ca_cert,
	.key_ref   = generic_ca_key_ref,
};
