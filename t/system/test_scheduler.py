"""What the clock does: renewals, retries, timeouts, silent agents, alerts.

The renewal check runs when a worker starts, so a test restarts the workers
instead of waiting an hour; two of them, so whatever could double would.
"""

import time

import pytest

from lib import NEVER, ok, wait_for


def renewal_check(stack):
    stack.restart("workers")
    # Both have run it by then; a second look must change nothing.
    time.sleep(1.5)


def aged(db, certificate, left, lifetime, status="Active"):
    """Make CERTIFICATE one of LIFETIME with LEFT to go (SQL intervals)."""
    db("UPDATE managed_certificates SET status = "
       f"'{status}', expires_at = now() + interval '{left}', issued_at = "
       f"now() + interval '{left}' - interval '{lifetime}', "
       f"last_renewal_at = now() WHERE id = '{certificate['id']}'")
    db("UPDATE certificate_versions SET not_after = now() + interval "
       f"'{left}', not_before = now() + interval '{left}' - interval "
       f"'{lifetime}' WHERE certificate_id = '{certificate['id']}'")


def open_jobs(world, certificate):
    return [j for j in world.jobs_of(certificate)
            if j["type"] in ("Renewal", "Issuance")
            and j["status"] in ("Pending", "AwaitingCSR", "Running")]


@pytest.fixture(scope="module")
def checked(world, stack, db):
    """Certificates of every age, after one renewal check of two workers."""
    agent, target, _ = world.site()
    manual = world.policy(auto_renew=False)
    short_window = world.policy(renewal_window_days=5)
    wide_window = world.policy(renewal_window_days=60)
    made = {}

    def make(name, left, lifetime="90 days", policy="rp-default",
             status="Active", issue=False):
        c = world.certificate(target_ids=[target["id"]],
                              renewal_policy_id=policy)
        if issue:
            world.issue(agent, c)
            world.deployed(agent, c)
        if left is not None:
            aged(db, c, left, lifetime, status)
        made[name] = c

    make("never issued", None)
    make("due", "29 days", issue=True)
    make("not due", "40 days")
    make("manual", "10 days", policy=manual["id"])
    make("short window, not due", "10 days", policy=short_window["id"])
    make("short window, due", "4 days", policy=short_window["id"])
    make("wide window, due", "50 days", policy=wide_window["id"])
    make("expired", "-1 day")
    make("already expired", "-30 days", status="Expired")
    make("fresh short life", "9 days", "10 days")
    make("ending short life", "1 day", "10 days")
    make("revoked", "10 days", status="Revoked")
    make("archived", "10 days", status="Archived")
    renewal_check(stack)
    renewal_check(stack)
    return made


@pytest.mark.parametrize("name", [
    "due", "short window, due", "wide window, due", "ending short life",
    "expired", "already expired"])
def test_what_is_due_is_renewed_once(world, checked, name):
    certificate = checked[name]
    job, = open_jobs(world, certificate)
    assert job["status"] == "AwaitingCSR"
    assert world.certificate_now(certificate)["status"] == \
        "RenewalInProgress"


@pytest.mark.parametrize("name", [
    "not due", "manual", "short window, not due", "fresh short life",
    "revoked", "archived", "never issued"])
def test_what_is_not_due_is_left_alone(world, checked, name):
    assert world.jobs_of(checked[name]) == []


def test_a_certificate_that_was_never_issued_is_neither_expired_nor_alerted(
        world, checked, db):
    certificate = world.certificate_now(checked["never issued"])
    assert (certificate["status"], certificate["expires_at"]) == ("Pending",
                                                                  NEVER)
    assert db("SELECT count(*) FROM notification_events WHERE certificate_id "
              f"= '{certificate['id']}'") == [["0"]]


def test_states_follow_the_expiry(world, checked):
    def status(name):
        return world.certificate_now(checked[name])["status"]

    assert status("manual") == "Expiring"
    assert status("not due") == "Active"
    assert status("revoked") == "Revoked"
    assert status("archived") == "Archived"


def test_an_alert_is_given_once_for_each_threshold(checked, db):
    rows = db("SELECT threshold_days, channel, count(*) FROM "
              "notification_events WHERE certificate_id = "
              f"'{checked['manual']['id']}' AND type = 'ExpirationWarning' "
              "GROUP BY 1, 2")
    assert rows, "no alert at all"
    assert {n for _, _, n in rows} == {"1"}
    assert {int(t) for t, _, _ in rows} <= {30, 14}


def test_a_scheduled_renewal_is_a_domain_event(world, checked):
    events = world.get("/audit?action=renewal_job_created&per_page=500")
    ids = {e["resource_id"] for e in events["data"]} | {
        (e["details"] or {}).get("certificate_id") for e in events["data"]}
    jobs = {j["id"] for j in world.jobs_of(checked["due"])}
    assert ids & (jobs | {checked["due"]["id"]})
    assert {e["actor_type"] for e in events["data"]} == {"System"}


# ---- Retries ---------------------------------------------------------

def fail_deployment(world, agent, certificate, db):
    item = wait_for(lambda: agent.deployment(certificate["id"]),
                    what="the deployment")
    ok(agent.report(item["id"], "Failed", "deployment failed: no"))
    db(f"UPDATE jobs SET scheduled_at = now() WHERE id = '{item['id']}'")
    return item["id"]


def test_a_failed_job_is_tried_again_until_its_attempts_are_spent(world, db):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    for attempt in (1, 2, 3):
        job = fail_deployment(world, agent, certificate, db)
        assert world.job_now(job)["attempts"] == attempt
    time.sleep(2.5)     # two sweeps
    assert agent.deployment(certificate["id"]) is None
    now = world.job_now(job)
    assert (now["status"], now["attempts"]) == ("Failed", 3)
    assert now["completed_at"] > now["created_at"][:4]


def test_retries_wait_longer_each_time(world, db):
    policy = world.policy(retry_interval_seconds=100)
    agent, _, certificate = world.site(renewal_policy_id=policy["id"])
    world.issue(agent, certificate)
    pauses = []
    for _ in range(2):
        item = wait_for(lambda: agent.deployment(certificate["id"]))
        ok(agent.report(item["id"], "Failed", "no"))
        pauses.append(float(db(
            "SELECT extract(epoch FROM scheduled_at - now()) FROM jobs "
            f"WHERE id = '{item['id']}'")[0][0]))
        db(f"UPDATE jobs SET scheduled_at = now() WHERE id = '{item['id']}'")
    assert 80 <= pauses[0] <= 110 and 160 <= pauses[1] <= 220, pauses


def test_a_renewal_that_is_given_up_lets_its_certificate_rest(world, db):
    policy = world.policy(max_retries=1)
    agent, _, certificate = world.site(renewal_policy_id=policy["id"])
    world.issue(agent, certificate)
    job = world.renew(certificate)["job_id"]
    assert world.job_now(job)["max_attempts"] == 1
    ok(agent.report(job, "Failed", "key generation failed: no entropy"))
    wait_for(lambda: world.certificate_now(certificate)["status"]
             != "RenewalInProgress", what="the certificate's rest")
    assert world.certificate_now(certificate)["status"] == "Active"
    assert world.job_now(job)["status"] == "Failed"


# ---- Timeouts --------------------------------------------------------

def test_a_csr_that_never_comes_times_out_from_when_it_was_asked_for(world,
                                                                     db):
    fresh, stale = world.certificate(), world.certificate()
    kept, reaped = (world.renew(c)["job_id"] for c in (fresh, stale))
    db("UPDATE jobs SET created_at = now() - interval '9 days' "
       f"WHERE id = '{kept}'")
    db("UPDATE jobs SET status_at = now() - interval '25 hours' "
       f"WHERE id = '{reaped}'")
    wait_for(lambda: world.job_now(reaped)["status"] == "Failed",
             what="the timeout")
    assert world.job_now(reaped)["last_error"]
    time.sleep(1.5)
    assert world.job_now(kept)["status"] == "AwaitingCSR"
    assert world.certificate_now(stale)["status"] != "RenewalInProgress" or \
        world.job_now(reaped)["attempts"] < 3


def test_a_deployment_of_a_silent_agent_fails(world, db):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    job = agent.deployment(certificate["id"])["id"]
    db("UPDATE agents SET last_heartbeat_at = now() - interval '6 minutes' "
       f"WHERE id = '{agent.id}'")
    db("UPDATE jobs SET leased_until = now() - interval '1 minute', "
       f"status_at = now() - interval '6 minutes' WHERE id = '{job}'")
    wait_for(lambda: world.job_now(job)["status"] in ("Failed", "Pending"),
             what="the end of the wait")
    assert world.job_now(job)["last_error"]


# ---- Agents ----------------------------------------------------------

def test_three_missed_beats_make_an_agent_offline(world, db):
    quiet, silent = world.agent(), world.agent()
    for agent, seconds in ((quiet, 150), (silent, 200)):
        db("UPDATE agents SET last_heartbeat_at = now() - interval "
           f"'{seconds} seconds' WHERE id = '{agent.id}'")
    wait_for(lambda: world.get("/agents/" + silent.id)["status"]
             == "Offline", what="Offline")
    assert world.get("/agents/" + quiet.id)["status"] == "Online"


def test_marking_agents_offline_undoes_no_heartbeat(world, db):
    agent = world.agent()
    for n in range(20):
        db("UPDATE agents SET last_heartbeat_at = now() - interval '1 hour' "
           f"WHERE id = '{agent.id}'")
        ok(agent.heartbeat(version=f"v{n}"))
        now = world.get("/agents/" + agent.id)
        assert (now["status"], now["version"]) == ("Online", f"v{n}")
        time.sleep(0.1)
    time.sleep(1.5)
    assert world.get("/agents/" + agent.id)["status"] == "Online"


# ---- Short-lived certificates ----------------------------------------

def test_short_lived_certificates_expire_on_time(world, db):
    profile = world.profile(allow_short_lived=True, max_ttl_seconds=300)
    agent, _, short = world.site(certificate_profile_id=profile["id"])
    _, version = world.issue(agent, short)
    now = world.certificate_now(short)
    assert now["status"] == "Active"
    assert now["expires_at"] == version["not_after"]
    aged(db, short, "-1 second", "300 seconds")
    # Due for renewal as well, so either is right, but no longer Active.
    wait_for(lambda: world.certificate_now(short)["status"] in (
        "Expired", "RenewalInProgress"), what="its expiry")


# ---- Renewal of what its policy says ---------------------------------

def test_the_policy_sets_how_often_a_job_is_tried(world):
    policy = world.policy(max_retries=7)
    certificate = world.certificate(renewal_policy_id=policy["id"])
    job = world.renew(certificate)["job_id"]
    assert world.job_now(job)["max_attempts"] == 7
