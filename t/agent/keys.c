#include "agent/keys.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "t/x509/fixture.h"

static const struct key_type p256 = { "ECDSA", 256 };

static struct arena *a;
static struct err e;
static const char *dir;

static void
setup(void)
{
	a = arena_new();
	dir = t_dir(a);
}

static void
teardown(void)
{
	arena_free(a);
}

TestSuite(keys, .init = setup, .fini = teardown, .timeout = 60);

static const char *
at(const char *name)
{
	return arena_printf(a, "%s/%s", dir, name);
}

static bool
there(const char *name)
{
	return access(at(name), F_OK) == 0;
}

/* What key the file NAME holds, or "". */
static const char *
hash_in(const char *name)
{
	struct bytes pem;
	struct key *k;

	if (file_read_own(a, at(name), 65536, &pem, &e) < 0)
		return "";
	k = key_from_pem(a, (const char *)pem.p, &e);
	return k != NULL ? key_spki_hash(a, k) : "";
}

/* A certificate for job JOB's key is in hand: the key's hash. */
static const char *
ask(const char *job)
{
	struct key *k = keys_pending(a, dir, "mc-1", job, p256, &e);

	cr_assert_not_null(k, "%s", e.msg);
	return key_spki_hash(a, k);
}

static const char *
hash_for(const char *spki_hash)
{
	char *pem = keys_for(a, dir, "mc-1", spki_hash, &e);

	return pem == NULL ? NULL : key_spki_hash(a, key_from_pem(a, pem, &e));
}

Test(keys, a_job_asked_again_gets_its_key_again)
{
	const char *one = ask("job-1"), *three;
	const struct key_type p384 = { "ECDSA", 384 };
	struct stat st;

	cr_expect_str_eq(ask("job-1"), one);
	cr_expect_str_eq(hash_in("mc-1.key.pending"), one);
	cr_assert_eq(lstat(at("mc-1.key.pending"), &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_expect_str_neq(ask("job-2"), one, "another job");
	cr_expect_str_neq(ask("job-"), hash_in("none"), "a prefix of it");
	three = key_spki_hash(a, keys_pending(a, dir, "mc-1", "job-", p384,
	    &e));
	cr_expect_str_eq(hash_in("mc-1.key.pending"), three, "another type");
}

Test(keys, a_certificate_in_hand_makes_its_key_current)
{
	const char *first = ask("job-1"), *second, *third;

	cr_expect_str_eq(hash_for(first), first);
	cr_expect_str_eq(hash_in("mc-1.key"), first);
	cr_expect_not(there("mc-1.key.pending"));
	second = ask("job-2");
	/* Until its certificate comes the first stays in use. */
	cr_expect_str_eq(hash_for(first), first);
	cr_expect_str_eq(hash_in("mc-1.key"), first);
	cr_expect_str_eq(hash_for(second), second);
	cr_expect_str_eq(hash_in("mc-1.key"), second);
	cr_expect_str_eq(hash_in("mc-1.key.previous"), first);
	cr_expect_str_eq(hash_for(first), first, "a target that lags");
	cr_expect_str_eq(hash_for(second), second);
	third = ask("job-3");
	cr_expect_str_eq(hash_for(third), third);
	cr_expect_str_eq(hash_in("mc-1.key.previous"), second);
	cr_expect_eq(keys_forget_previous(dir, "mc-1", &e), 0);
	cr_expect_not(there("mc-1.key.previous"));
	cr_expect_eq(keys_forget_previous(dir, "mc-1", &e), 0);
}

Test(keys, a_promotion_cut_short_goes_on)
{
	const char *first = ask("job-1"), *second;

	cr_assert_not_null(hash_for(first));
	second = ask("job-2");
	/* Killed between the two renames. */
	cr_assert_eq(rename(at("mc-1.key"), at("mc-1.key.previous")), 0);
	cr_expect_str_eq(hash_for(second), second);
	cr_expect_str_eq(hash_in("mc-1.key"), second);
	cr_expect_str_eq(hash_in("mc-1.key.previous"), first);
}

Test(keys, none_belonging_is_said)
{
	cr_expect_null(hash_for("00"));
	cr_expect_eq(e.code, E_NOT_FOUND);
	cr_assert_not_null(hash_for(ask("job-1")));
	cr_expect_null(hash_for("00"));
	cr_expect_eq(e.code, E_NOT_FOUND);
	cr_expect_not_null(strstr(e.msg, "no key in"));
}

Test(keys, loose_files_are_tightened_and_links_refused)
{
	const char *hash = ask("job-1");
	struct stat st;

	cr_assert_eq(chmod(at("mc-1.key.pending"), 0644), 0);
	cr_expect_str_eq(hash_for(hash), hash);
	cr_assert_eq(lstat(at("mc-1.key"), &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(rename(at("mc-1.key"), at("elsewhere")), 0);
	cr_assert_eq(symlink(at("elsewhere"), at("mc-1.key")), 0);
	cr_expect_null(hash_for(hash));
	cr_expect_not_null(strstr(e.msg, "symbolic link"), "%s", e.msg);
}

Test(keys, a_damaged_current_key_does_not_hide_the_new_one)
{
	const char *hash = ask("job-1");

	t_write(at("mc-1.key"), "-----BEGIN PRIVATE KEY-----\nMIG", 0600);
	cr_expect_str_eq(hash_for(hash), hash);
	cr_expect_str_eq(hash_in("mc-1.key"), hash);
}

Test(keys, a_type_no_profile_may_ask_for_is_refused)
{
	static const struct key_type types[] = {
		{ "RSA", 1024 }, { "ECDSA", 192 }, { "DSA", 2048 },
	};

	for (size_t i = 0; i < NELEM(types); i++) {
		cr_expect_null(keys_pending(a, dir, "mc-1", "job-1", types[i],
		    &e));
		cr_expect(strncmp(e.msg, "key generation failed: ", 23) == 0,
		    "%s", e.msg);
	}
	cr_expect_not(there("mc-1.key.pending"));
}
