/*
 * The parent: beats its heart whatever the work does, and keeps one worker
 * alive.
 */
#ifndef CERTCTL_AGENT_KEEPER_H
#define CERTCTL_AGENT_KEEPER_H

struct conf;
struct identity;

/* Until told to stop or retired; the exit status. */
int keeper_run(const struct conf *c, const struct identity *id);

#endif
