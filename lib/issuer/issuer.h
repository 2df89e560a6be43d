/*
 * Issuers: configured CAs behind one const descriptor each.
 *
 * A connector knows its CA and nothing else: no database, no HTTP door.  What
 * must be durable before a signature exists is handed back to the caller, who
 * stores it: issue() is therefore two steps for a CA that signs here
 * (prepare, finish), and the intent in between is the caller's row.
 */
#ifndef CERTCTL_ISSUER_ISSUER_H
#define CERTCTL_ISSUER_ISSUER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/field.h"
#include "base/util.h"
#include "x509/csr.h"

struct arena;
struct err;
struct issuer;	/* one opened connector */

/* What a profile lets a certificate be; checked by issuer_check_csr(). */
struct profile_rules {
	const char *id;
	struct {
		const char *algorithm;	/* "RSA", "ECDSA", "Ed25519" */
		int64_t min_size;
	} keys[8];
	size_t n_keys;			/* 0: any */
	int64_t max_ttl_seconds;	/* 0: no cap */
	struct texts ekus;		/* profile spellings: serverAuth, ...;
					 * none: serverAuth and clientAuth */
	struct texts san_patterns;	/* each name must match one */
	const char *spiffe_uri_pattern;	/* each URI must match */
	bool must_staple;
	bool short_lived;		/* too short to revoke: RFC 9608 */
};

struct issue_args {
	const struct csr *csr;
	const char *common_name;	/* of the certificate record */
	struct texts sans;		/* of the certificate record */
	const struct profile_rules *profile;	/* NULL: no rules */
	/* Where the configuration names none; blank: left out. */
	const char *aia_ocsp_url, *aia_issuer_url, *cdp_url;
	bool cdp_sharded;		/* CDP_URL, then "/shard-<n>" */
	int64_t now;
};

/* A certificate that is fully decided but not yet signed. */
struct issue_intent {
	const char *serial;		/* lower-case hex */
	struct bytes tbs;
	const char *tbs_hash;		/* SHA-256 hex */
	int64_t not_before, not_after;
};

struct issued {
	const char *cert_pem;		/* leaf */
	struct bytes der;		/* the same */
	const char *chain_pem;		/* issuing CA and above, may be blank */
	const char *order_id;
};

/* What the caller keeps for a connector between processes (CA certificate). */
struct issuer_env {
	const char *issuer_id;
	const char *state_dir;		/* 0700; its CA certificate lives below it */
	const char *ca_cert_pem;	/* stored earlier, or NULL */
};

struct issuer_type {
	const char *name;		/* canonical: "GenericCA" */
	const char *label;		/* for people: "Local CA" */
	const struct field *conf;	/* checked before open() is called */
	size_t conf_size;
	void (*defaults)(void *conf);
	int (*check)(const void *conf, struct err *e);	/* required */
	/* required; CONF and its texts live until close() */
	void *(*open)(const void *conf, const struct issuer_env *env,
	    struct err *e);
	void (*close)(void *self);
	int (*prepare)(void *self, struct arena *a,
	    const struct issue_args *args, struct issue_intent *out,
	    struct err *e);
	int (*finish)(void *self, struct arena *a, struct bytes tbs,
	    struct issued *out, struct err *e);
	/* NULL if this CA keeps no certificate of its own here */
	const char *(*ca_cert)(void *self);
	/* What the key holder calls the CA key; NULL if there is none here */
	const char *(*key_ref)(void *self);
};

/* The registry, NULL terminated, and the row called NAME or an alias of it
 * ("local", "local_ca", any case); NULL if there is none. */
extern const struct issuer_type *const issuer_types[];
const struct issuer_type *issuer_type_find(const char *name);

/* False for a type of the contract that is not built yet. */
bool issuer_type_available(const struct issuer_type *t);

/*
 * Read CONF_JSON (blank is {}) by T's table; E_INVALID names what is wrong:
 * an unknown or ill-typed member, values that do not fit together, or a type
 * that is not available yet.
 */
int issuer_check_conf(const struct issuer_type *t, const char *conf_json,
    struct err *e);

/* CONF_JSON with every F_SECRET member shown as "********", in A. */
char *issuer_redact_conf(struct arena *a, const struct issuer_type *t,
    const char *conf_json);

/* Open a connector; E_INVALID for a bad configuration. */
struct issuer *issuer_open(const struct issuer_type *t, const char *conf_json,
    const struct issuer_env *env, struct err *e);
void issuer_close(struct issuer *i);

/* PEM of the CA certificate this connector issues with, or NULL. */
const char *issuer_ca_cert(const struct issuer *i);

/* What the key holder calls its CA key, or NULL. */
const char *issuer_key_ref(const struct issuer *i);

/*
 * May CSR become a certificate under P (NULL: no rules)?  Fails closed:
 * algorithm and size, every name against the patterns, EKU names known and
 * none asked for beyond them, not a CA.  E_INVALID with the reason.
 */
int issuer_check_csr(const struct csr *csr, const struct profile_rules *p,
    struct err *e);

/*
 * E_INVALID unless PATTERN is one for names.  Case does not count, and the
 * whole name must match.
 *
 *	www.example.com		this name
 *	*.example.com		one label in place of "*"
 *	.*\.(dev|test)\.corp	with any of \ ^ $ | ( ) [ ] { } + ? or another
 *				"*", a POSIX extended regular expression
 */
int issuer_check_pattern(const char *pattern, struct err *e);

/* The EKUs of P, or those a certificate has without a profile's word. */
struct texts issuer_ekus(const struct profile_rules *p);

/*
 * Does CSR ask for no name but those of the certificate record (its common
 * name and SANS)?  Who holds one certificate's key must not get another
 * name's.  E_INVALID tells the name.
 */
int issuer_check_names(struct arena *a, const struct csr *csr,
    const char *common_name, const struct texts *sans, struct err *e);

/*
 * The names a certificate will carry, each once: the common names that are
 * host names or addresses, the record's, the CSR's.  E_INVALID if P does not
 * allow one of them or they are too many.
 */
int issuer_names(struct arena *a, const struct issue_args *args,
    struct sans *out, struct err *e);

/*
 * Decide a certificate: issuer_check_csr() again, the names, validity and
 * extensions.  Nothing is signed; what comes out is to be stored first.
 */
int issuer_prepare(struct issuer *i, struct arena *a,
    const struct issue_args *args, struct issue_intent *out, struct err *e);

/*
 * Sign what prepare() decided; after a crash the same TBS may be finished
 * again.
 */
int issuer_finish(struct issuer *i, struct arena *a, struct bytes tbs,
    struct issued *out, struct err *e);

#endif
