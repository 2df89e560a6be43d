/* One deployment: fetch, choose the key, install, look at what is served. */
#ifndef CERTCTL_AGENT_DEPLOY_H
#define CERTCTL_AGENT_DEPLOY_H

struct arena;
struct desk;
struct entry;
struct err;

/*
 * Carry EN out and put its result into the journal.  -1 if the server, which
 * has the certificate, could not be reached or the journal not be written.
 *
 * From the first file on no signal is let in until the result is stored.
 */
int deploy_entry(struct desk *d, struct arena *a, struct entry *en,
    struct err *e);

#endif
