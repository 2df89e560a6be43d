"""Jobs as operators see them: lists, cancellation, verification; audit."""

import pytest

from lib import listed, make_csr, ok, query, refused, unique

ALWAYS = {"id", "type", "certificate_id", "status", "attempts",
          "max_attempts", "scheduled_at", "created_at",
          "verification_status"}
FINGERPRINT = "ab" * 32


def rows(api, path, **parameters):
    return listed(api.get(path + query(per_page=500, **parameters)))["data"]


def deployment(world):
    agent, target, certificate = world.site()
    world.issue(agent, certificate)
    return agent, target, agent.deployment(certificate["id"])["id"]


# ---- Lists -----------------------------------------------------------

def test_a_job_has_all_its_members(world):
    certificate = world.certificate()
    job = world.job_now(world.renew(certificate)["job_id"])
    assert ALWAYS <= set(job)
    assert (job["attempts"], job["max_attempts"]) == (0, 3)
    assert job["verification_status"] == "pending"
    for name in ("target_id", "agent_id", "last_error", "started_at",
                 "completed_at", "verified_at"):
        assert name not in job


def test_jobs_are_filtered_by_each_name(world):
    agent, target, certificate = world.site()
    world.issue(agent, certificate)
    other = world.certificate()
    world.renew(other)
    both = rows(world.api, "/jobs", certificate_id=certificate["id"])
    assert {j["type"] for j in both} == {"Issuance", "Deployment"}
    assert {j["certificate_id"] for j in both} == {certificate["id"]}
    one, = rows(world.api, "/jobs", target_id=target["id"])
    assert one["type"] == "Deployment"
    assert rows(world.api, "/jobs", certificate_id=certificate["id"],
                type="Deployment") == [one]
    assert rows(world.api, "/jobs", certificate_id=other["id"],
                status="Completed") == []
    assert rows(world.api, "/jobs", status="nonsense") == []


@pytest.mark.parametrize("method,verb", [
    ("GET", ""), ("POST", "/cancel"), ("GET", "/verification")])
def test_an_unknown_job_is_404(api, method, verb):
    refused(api.call(method, "/api/v1/jobs/job-none" + verb,
                     {} if method == "POST" else None), 404)


# ---- Cancel ----------------------------------------------------------

def test_cancelling_a_renewal_lets_its_certificate_rest(world):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    job = world.renew(certificate)["job_id"]
    assert ok(world.api.post(f"/jobs/{job}/cancel", {})) == {
        "status": "job_cancelled"}
    assert world.job_now(job)["status"] == "Cancelled"
    assert world.certificate_now(certificate)["status"] == "Active"
    _, csr = make_csr(certificate["common_name"], certificate["sans"])
    refused(agent.submit(csr, certificate["id"]), 409)


def test_cancelling_needs_no_body(world):
    job = world.renew(world.certificate())["job_id"]
    ok(world.api.post(f"/jobs/{job}/cancel"))


def test_a_job_is_cancelled_once(world):
    job = world.renew(world.certificate())["job_id"]
    ok(world.api.post(f"/jobs/{job}/cancel", {}))
    refused(world.api.post(f"/jobs/{job}/cancel", {}), 409)


@pytest.mark.parametrize("status", ["Completed", "Failed"])
def test_what_has_ended_cannot_be_cancelled(world, status):
    agent, _, job = deployment(world)
    ok(agent.report(job, status, "why" if status == "Failed" else None))
    refused(world.api.post(f"/jobs/{job}/cancel", {}), 409)
    assert world.job_now(job)["status"] == status


@pytest.mark.parametrize("status", ["Pending", "Running", "AwaitingCSR",
                                    "AwaitingApproval"])
def test_every_open_state_can_be_cancelled(world, db, status):
    certificate = world.certificate()
    job = world.renew(certificate)["job_id"]
    # A deployment, so that no worker takes it meanwhile.
    db(f"UPDATE jobs SET status = '{status}', type = 'Deployment' "
       f"WHERE id = '{job}'")
    ok(world.api.post(f"/jobs/{job}/cancel", {}))
    assert world.job_now(job)["status"] == "Cancelled"


def test_a_cancelled_deployment_cannot_be_reported_done(world):
    agent, _, job = deployment(world)
    ok(world.api.post(f"/jobs/{job}/cancel", {}))
    refused(agent.report(job, "Completed"), 409)
    assert world.job_now(job)["status"] == "Cancelled"


# ---- Verification ----------------------------------------------------

def test_a_verification_is_stored_and_read_back(world):
    agent, target, job = deployment(world)
    reply = ok(agent.verify(job, target["id"], FINGERPRINT, FINGERPRINT,
                            True))
    assert (reply["job_id"], reply["verified"]) == (job, True)
    assert reply["verified_at"] > "2020"
    now = world.job_now(job)
    assert now["verification_status"] == "success"
    assert now["verification_fingerprint"] == FINGERPRINT
    seen = ok(world.api.get(f"/jobs/{job}/verification"))
    assert seen == {
        "job_id": job, "target_id": target["id"], "verified": True,
        "expected_fingerprint": FINGERPRINT,
        "actual_fingerprint": FINGERPRINT,
        "verified_at": reply["verified_at"]}


def test_a_mismatch_is_a_failed_verification(world):
    agent, target, job = deployment(world)
    ok(agent.verify(job, target["id"], FINGERPRINT, "cd" * 32, False))
    seen = ok(world.api.get(f"/jobs/{job}/verification"))
    assert seen["verified"] is False
    assert seen["actual_fingerprint"] == "cd" * 32
    assert world.job_now(job)["verification_status"] == "failed"


def test_a_failed_probe_without_fingerprints_is_recorded(world):
    agent, target, job = deployment(world)
    reply = ok(agent.verify(job, target["id"], "", "", False,
                            "connection refused"))
    assert reply["verified"] is False
    now = world.job_now(job)
    assert now["verification_status"] == "failed"
    assert now["verification_error"] == "connection refused"
    ok(agent.report(job, "Completed"))
    assert world.job_now(job)["verification_status"] == "failed"


@pytest.mark.parametrize("over", [
    {"target_id": ""}, {"target_id": None}, {"verified": "yes"},
    {"expected_fingerprint": 7}, {"actual_fingerprint": "f" * 1000}])
def test_a_verification_that_says_nothing_is_refused(world, over):
    agent, target, job = deployment(world)
    body = {"target_id": target["id"], "expected_fingerprint": FINGERPRINT,
            "actual_fingerprint": FINGERPRINT, "verified": True, **over}
    refused(agent.client.post(f"/jobs/{job}/verify", body), 400)
    assert world.job_now(job)["verification_status"] == "pending"


@pytest.mark.parametrize("member", ["expected_fingerprint",
                                    "actual_fingerprint"])
def test_nothing_is_verified_without_both_fingerprints(world, member):
    agent, target, job = deployment(world)
    body = {"target_id": target["id"], "expected_fingerprint": FINGERPRINT,
            "actual_fingerprint": FINGERPRINT, "verified": True, member: ""}
    reply = agent.client.post(f"/jobs/{job}/verify", body)
    assert reply.status in (200, 400)
    assert world.job_now(job)["verification_status"] != "success"


def test_verifying_an_unknown_job_is_404(world):
    refused(world.api.post("/jobs/job-none/verify", {
        "target_id": "tgt-x", "expected_fingerprint": FINGERPRINT,
        "actual_fingerprint": FINGERPRINT, "verified": True}), 404)


# ---- Audit -----------------------------------------------------------

def test_audit_events_are_filtered_by_each_name(world, api):
    team = world.team()
    change = rows(api, "/audit", resource_id=team["id"])
    made, = [e for e in change if e["action"] == "create_team"]
    assert {"id", "actor", "actor_type", "action", "resource_type",
            "resource_id", "details", "timestamp"} <= set(made)
    for name in ("actor", "actor_type", "action", "resource_type"):
        both = {"resource_id": team["id"], name: made[name]}
        assert made in rows(api, "/audit", **both), name
        assert rows(api, "/audit", **dict(both, **{name: "nobody"})) == []
    assert ok(api.get("/audit/" + made["id"])) == made


@pytest.mark.parametrize("event", ["audit-999999999999", "audit-x", "nothing",
                                "audit-0", "audit--1",
                                "audit-99999999999999999999999"])
def test_an_unknown_event_is_404(api, event):
    refused(api.get("/audit/" + event), 404)


def test_the_total_of_a_filtered_audit_list_is_true(world, api):
    owner = world.owner()["id"]
    for n in range(3):
        ok(api.put("/owners/" + owner, {"name": unique("owner")}))
    page = listed(api.get("/audit" + query(
        resource_id=owner, action="update_owner", per_page=1)))
    assert page["total"] == 3 and len(page["data"]) == 1


def test_audit_events_are_filtered_by_time(world, api):
    team = world.team()["id"]
    event = rows(api, "/audit", resource_id=team, action="create_team")[0]
    at = event["timestamp"]
    assert event in rows(api, "/audit", resource_id=team,
                         since="2020-01-01T00:00:00Z")
    assert rows(api, "/audit", resource_id=team,
                since="2199-01-01T00:00:00Z") == []
    assert rows(api, "/audit", resource_id=team,
                until="2020-01-01T00:00:00Z") == []
    assert at > "2020"
    refused(api.get("/audit" + query(since="yesterday")), 400)
    refused(api.get("/audit" + query(category="gossip")), 400)
