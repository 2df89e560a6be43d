/*
 * Deployments this agent has taken on, and results it owes the server, on the
 * disk before anything is done about them: <key_dir>/.certctl/jobs/<id>.json.
 *
 * A deployment without a result is begun again after a crash, which is
 * harmless; a result is sent until the server answers.
 */
#ifndef CERTCTL_AGENT_JOURNAL_H
#define CERTCTL_AGENT_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/job.h"

struct arena;
struct err;

struct entry {
	struct arena *a;	/* its own, with JOB's texts */
	struct job job;
	int64_t due_at;		/* mono_us() of the next try */
	int failures;		/* tries in a row that came to nothing */
	struct entry *next;
};

struct journal {
	const char *dir;
	struct entry *first;	/* in the order they were taken on */
};

/* Read what an earlier run left; DIR (0700) is made if missing. */
int journal_open(struct journal *j, const char *dir, struct err *e);
void journal_close(struct journal *j);

struct entry *journal_find(const struct journal *j, const char *job_id);

/* True if an entry other than NOT (or NULL) is about CERTIFICATE_ID. */
bool journal_has_certificate(const struct journal *j,
    const char *certificate_id, const struct entry *not);

/* Take JOB on: copied, and on the disk when this returns. */
struct entry *journal_add(struct journal *j, const struct job *job,
    struct err *e);

/* Put the changed job of EN on the disk. */
int journal_store(struct journal *j, struct entry *en, struct err *e);

/* Done with EN, which is freed. */
int journal_remove(struct journal *j, struct entry *en, struct err *e);

#endif
