"""Agents as the server sees them: registration, identity, work, retirement."""

import hashlib
import secrets

import pytest

from lib import (Agent, listed, make_csr, ok, query, refused, unique,
                 wait_for)

ALWAYS = {"id", "name", "hostname", "status", "registered_at", "os",
          "architecture", "ip_address", "version"}


def body(**over):
    return {"name": unique("agent"), "hostname": "web1.example.org", **over}


def bearer(token):
    return {"Authorization": "Bearer " + token}


def alternative(token):
    return {"X-Certctl-Bootstrap-Token": token}


# ---- Registration ----------------------------------------------------

@pytest.mark.parametrize("header", [bearer, alternative])
def test_the_bootstrap_token_registers_in_either_header(anon, stack, header):
    reply = anon.post("/agents", body(os="linux", architecture="amd64",
                                      ip_address="10.1.2.3",
                                      version="1.0.0"),
                      headers=header(stack.bootstrap_token))
    made = ok(reply, 201)
    assert ALWAYS <= set(made)
    assert made["id"].startswith("agent-") and made["status"] == "Online"
    assert (made["os"], made["ip_address"]) == ("linux", "10.1.2.3")
    assert len(made["api_key"]) == 43
    ok(Agent(anon, made).heartbeat())


def test_an_administrator_registers_without_the_token(api):
    assert ok(api.post("/agents", body()), 201)["api_key"]


@pytest.mark.parametrize("headers", [
    {}, bearer("wrong"), alternative("wrong"), alternative(""),
    bearer(""), {"Authorization": "Basic abc"}])
def test_without_the_token_registration_is_401(anon, db, headers):
    name = unique("agent")
    reply = anon.post("/agents", body(name=name), headers=headers)
    assert refused(reply, 401) == "invalid_or_missing_bootstrap_token"
    assert db(f"SELECT 1 FROM agents WHERE name = '{name}'") == []


def test_the_token_is_checked_before_the_body(anon):
    reply = anon.post("/agents", b"{not json", headers=bearer("wrong"))
    assert refused(reply, 401) == "invalid_or_missing_bootstrap_token"


def test_the_bootstrap_token_opens_nothing_else(anon, stack):
    for headers in (bearer(stack.bootstrap_token),
                    alternative(stack.bootstrap_token)):
        for path in ("/agents", "/certificates", "/auth/check"):
            assert anon.get(path, headers=headers).status == 401


@pytest.mark.parametrize("over", [
    {"name": ""}, {"name": None}, {"hostname": ""}, {"hostname": None},
    {"name": "n" * 129}, {"name": 5}, {"api_key_sha256": "abc"},
    {"api_key_sha256": "G" * 64}, {"api_key_sha256": "a" * 65}])
def test_a_bad_registration_is_refused(api, over):
    refused(api.post("/agents", body(**over)), 400)


def test_an_id_is_never_the_clients_to_choose(api):
    made = ok(api.post("/agents", body(id="agent-mine")), 201)
    assert made["id"] != "agent-mine"


def test_a_name_is_registered_once(api):
    first = body()
    ok(api.post("/agents", first), 201)
    refused(api.post("/agents", first), 409)


def test_an_agent_may_make_its_own_key(api, anon):
    key = secrets.token_urlsafe(32)
    mine = body(api_key_sha256=hashlib.sha256(key.encode()).hexdigest())
    made = ok(api.post("/agents", mine), 201)
    assert "api_key" not in made
    ok(Agent(anon, made, key).heartbeat())
    # Its first reply was lost: the same again finds the same agent.
    assert ok(api.post("/agents", mine), 201)["id"] == made["id"]
    refused(api.post("/agents", dict(mine, api_key_sha256="0" * 64)), 409)


def test_no_key_material_is_ever_shown(world):
    agent = world.agent()
    digest = hashlib.sha256(agent.key.encode()).hexdigest()
    for path in ("/agents?per_page=500", agent_path(agent), "/audit?"
                 "per_page=500"):
        text = world.api.get(path).text
        assert agent.key not in text and digest not in text
        assert "api_key" not in text.replace("api_key_sha256", "")


def agent_path(agent):
    return "/agents/" + agent.id


# ---- Identity --------------------------------------------------------

def test_an_agents_key_opens_its_own_paths_alone(world):
    one, other = world.agent(), world.agent()
    ok(one.heartbeat())
    ok(one.work())
    for method, path in (
            ("POST", f"/agents/{other.id}/heartbeat"),
            ("GET", f"/agents/{other.id}/work"),
            ("POST", f"/agents/{other.id}/csr"),
            ("GET", f"/agents/{other.id}/certificates/mc-x"),
            ("POST", f"/agents/{other.id}/jobs/job-x/status"),
            ("GET", "/agents"), ("GET", f"/agents/{one.id}"),
            ("DELETE", f"/agents/{one.id}"),
            ("GET", "/certificates"), ("POST", "/certificates"),
            ("GET", "/jobs"), ("GET", "/issuers"), ("GET", "/audit"),
            ("POST", "/targets"), ("GET", "/teams")):
        reply = one.client.call(method, "/api/v1" + path,
                                {} if method == "POST" else None)
        assert reply.status == 403, (method, path, reply)


def test_one_agent_cannot_touch_anothers_work(world):
    agent, target, certificate = world.site()
    stranger, _, _ = world.site()
    world.issue(agent, certificate)
    item = agent.deployment(certificate["id"])
    assert stranger.fetch(certificate["id"]).status in (403, 404)
    assert stranger.report(item["id"], "Completed").status in (403, 404)
    assert stranger.verify(item["id"], target["id"], "a" * 64, "a" * 64,
                           True).status in (403, 404)
    _, csr = make_csr(certificate["common_name"], certificate["sans"])
    refused(stranger.submit(csr, certificate["id"]), 404)
    job = world.job_now(item["id"])
    assert (job["status"], job["verification_status"]) == (
        "Running", "pending")


def test_an_administrator_may_act_as_any_agent(world):
    agent = world.agent()
    agent.client = world.api
    ok(agent.heartbeat(version="2"))
    ok(agent.work())
    assert world.get(agent_path(agent))["version"] == "2"


# ---- Heartbeat -------------------------------------------------------

def test_a_heartbeat_records_what_it_says(world):
    agent = world.agent(version="1", os="linux")
    before = world.get(agent_path(agent))
    reply = agent.heartbeat(version="1.0.0", hostname="new.example.org",
                            os="", architecture="arm64", ip_address="10.0.0.9")
    assert ok(reply) == {"status": "heartbeat_recorded"}
    now = world.get(agent_path(agent))
    assert (now["version"], now["hostname"], now["os"],
            now["architecture"], now["ip_address"]) == (
        "1.0.0", "new.example.org", "linux", "arm64", "10.0.0.9")
    assert now["last_heartbeat_at"] >= before["registered_at"]
    assert now["registered_at"] == before["registered_at"]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b"\xff\xfe",
                                  b'{"version":7}', b'{"version":""}',
                                  b'{"a":' * 100])
def test_a_heartbeat_with_a_bad_body_still_counts(world, db, data):
    agent = world.agent(version="1")
    db("UPDATE agents SET last_heartbeat_at = '2020-01-01' "
       f"WHERE id = '{agent.id}'")
    reply = agent.client.post(agent.path + "/heartbeat", data, headers={
        "Content-Type": "application/json"})
    assert ok(reply) == {"status": "heartbeat_recorded"}
    now = world.get(agent_path(agent))
    assert now["version"] == "1" and now["last_heartbeat_at"] > "2021"


def test_a_silent_agent_is_offline_until_it_speaks(world, db):
    agent = world.agent()
    db("UPDATE agents SET last_heartbeat_at = now() - interval '4 minutes' "
       f"WHERE id = '{agent.id}'")
    wait_for(lambda: world.get(agent_path(agent))["status"] == "Offline",
             what="Offline")
    rows = listed(world.api.get("/agents" + query(
        status="Offline", per_page=500)))["data"]
    assert agent.id in [r["id"] for r in rows]
    ok(agent.heartbeat(version="9"))
    now = world.get(agent_path(agent))
    assert (now["status"], now["version"]) == ("Online", "9")
    rows = listed(world.api.get("/agents" + query(
        status="Offline", per_page=500)))["data"]
    assert agent.id not in [r["id"] for r in rows]


def test_unknown_agents_are_404(api):
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/heartbeat"),
                         ("GET", "/work"), ("GET", "/certificates/x"),
                         ("POST", "/jobs/x/status"), ("POST", "/csr")):
        data = {"status": "Running", "csr_pem": make_csr("x.example")[1],
                "certificate_id": "mc-x"} if method == "POST" else None
        refused(api.call(method, "/api/v1/agents/agent-none" + path, data),
                404)


# ---- Work ------------------------------------------------------------

def test_a_work_reply_sets_the_pace(world):
    reply = ok(world.agent().work())
    assert reply["jobs"] == [] and reply["count"] == 0
    assert isinstance(reply["poll_seconds"], int)
    assert 1 <= reply["poll_seconds"] <= 300


def test_a_csr_item_says_all_an_agent_needs(world):
    agent, _, certificate = world.site(
        certificate_profile_id=world.profile(allowed_key_algorithms=[
            {"algorithm": "RSA", "min_size": 3072}])["id"])
    job = world.renew(certificate)["job_id"]
    for _ in range(2):      # unchanged on every poll
        item, = agent.jobs()
        assert item == {
            "id": job, "type": "Issuance", "status": "AwaitingCSR",
            "certificate_id": certificate["id"],
            "common_name": certificate["common_name"],
            "sans": certificate["sans"], "key_algorithm": "RSA",
            "key_size": 3072}


def test_a_deployment_item_carries_the_real_configuration(world):
    agent = world.agent()
    config = {"cert_path": "/srv/a.crt", "key_path": "/srv/a.key",
              "chain_path": "/srv/a.chain", "validate_command": "true",
              "reload_command": "true", "host": "localhost", "port": 8443}
    target = world.target(agent, config=config)
    certificate = world.certificate(target_ids=[target["id"]])
    _, version = world.issue(agent, certificate)
    item, = agent.jobs()
    assert item["type"] == "Deployment" and item["status"] == "Running"
    assert item["certificate_id"] == certificate["id"]
    assert (item["target_id"], item["target_type"]) == (target["id"],
                                                        "NGINX")
    assert item["target_config"] == config
    assert item["fingerprint"] == version["fingerprint_sha256"]
    assert "common_name" not in item
    assert agent.jobs() == [], "a leased deployment is offered again"


def test_deployments_come_first(world):
    agent, target, first = world.site()
    world.issue(agent, first)
    second = world.certificate(target_ids=[target["id"]])
    world.renew(second)
    assert [j["status"] for j in agent.jobs()] == ["Running", "AwaitingCSR"]


def test_an_unbound_job_waits_for_an_agent_with_a_target(world):
    certificate = world.certificate()
    job = world.renew(certificate)["job_id"]
    agent, target, _ = world.site()
    assert agent.jobs() == []
    ok(world.api.put("/certificates/" + certificate["id"],
                     {"target_ids": [target["id"]]}))
    assert [j["id"] for j in agent.jobs()] == [job]
    assert world.job_now(job)["agent_id"] == agent.id


# ---- CSR -------------------------------------------------------------

def test_a_csr_is_taken_at_once_and_issued_by_a_worker(world):
    agent, _, certificate = world.site()
    job = world.renew(certificate)["job_id"]
    _, csr = make_csr(certificate["common_name"], certificate["sans"])
    reply = agent.submit(csr, certificate["id"])
    assert ok(reply, 202) == {"status": "csr_signed"}
    wait_for(lambda: world.job_now(job)["status"] == "Completed", 5,
             what="issuance")
    now = world.certificate_now(certificate)
    assert now["status"] == "Active" and now["expires_at"] > "2020"
    assert now["last_renewal_at"] > "2020"
    job = world.job_now(job)
    assert job["attempts"] >= 1
    assert job["completed_at"] >= job["started_at"]


def test_a_csr_for_no_certificate_is_only_noted(world):
    agent = world.agent()
    reply = agent.submit(make_csr("a.example.org")[1])
    assert ok(reply, 202) == {"status": "csr_accepted"}


def test_a_csr_nobody_asked_for_is_409(world):
    agent, _, certificate = world.site()
    _, csr = make_csr(certificate["common_name"], certificate["sans"])
    refused(agent.submit(csr, certificate["id"]), 409)
    world.issue(agent, certificate)
    refused(agent.submit(csr, certificate["id"]), 409)
    assert len(world.versions(certificate)) == 1


def test_a_csr_for_a_strangers_certificate_is_404(world):
    agent = world.agent()
    certificate = world.certificate()
    world.renew(certificate)
    _, csr = make_csr(certificate["common_name"], certificate["sans"])
    refused(agent.submit(csr, certificate["id"]), 404)
    refused(agent.submit(csr, "mc-none"), 404)


def test_each_agent_has_a_certificate_of_its_own_key(world):
    one, other = world.agent(), world.agent()
    targets = [world.target(a)["id"] for a in (one, other)]
    certificate = world.certificate(target_ids=targets)
    world.renew(certificate)
    _, first = world.answer(one, certificate)
    _, second = world.answer(other, certificate)
    assert one.deployment(certificate["id"])["fingerprint"] == \
        first["fingerprint_sha256"]
    assert other.deployment(certificate["id"])["fingerprint"] == \
        second["fingerprint_sha256"]
    for agent, version in ((one, first), (other, second)):
        pem = ok(agent.fetch(certificate["id"]))["certificate_pem"]
        assert pem.strip() == version["pem_chain"].strip()


# ---- Pickup and reports ----------------------------------------------

def test_a_certificate_is_picked_up_leaf_first(world):
    agent, _, certificate = world.site()
    refused(agent.fetch(certificate["id"]), 404)
    _, version = world.issue(agent, certificate)
    reply = ok(agent.fetch(certificate["id"]))
    assert reply["certificate_pem"].strip() == version["pem_chain"].strip()


@pytest.mark.parametrize("status", ["", "Pending", "running", "Cancelled",
                                    "AwaitingCSR", None, 1])
def test_an_agent_reports_only_what_it_can_know(world, status):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    job = agent.deployment(certificate["id"])["id"]
    refused(agent.report(job, status), 400)
    assert world.job_now(job)["status"] == "Running"


def test_a_deployment_completes_once_and_may_be_repeated(world):
    agent, target, certificate = world.site()
    world.issue(agent, certificate)
    job = agent.deployment(certificate["id"])["id"]
    assert ok(agent.report(job, "Running"))["status"] == "updated"
    reply = ok(agent.report(job, "Completed"))
    assert reply["status"] == "updated"
    assert reply["pending_deployments"] == 0
    first = world.job_now(job)
    assert first["status"] == "Completed" and first["completed_at"] > "2020"
    assert world.certificate_now(certificate)["last_deployment_at"] > "2020"
    ok(agent.report(job, "Completed"))
    assert world.job_now(job) == first
    refused(agent.report(job, "Failed", "too late"), 409)
    refused(agent.report(job, "Running"), 409)
    assert world.job_now(job) == first


def test_a_failed_deployment_keeps_its_reason_and_is_tried_again(world, db):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    job = agent.deployment(certificate["id"])["id"]
    ok(agent.report(job, "Failed", "deployment failed: nginx -t: exit 1"))
    now = world.job_now(job)
    assert (now["status"], now["attempts"]) == ("Failed", 1)
    assert now["last_error"] == "deployment failed: nginx -t: exit 1"
    ok(agent.report(job, "Failed", "deployment failed: nginx -t: exit 1"))
    assert agent.deployment(certificate["id"]) is None, "no pause"
    db(f"UPDATE jobs SET scheduled_at = now() WHERE id = '{job}'")
    again = wait_for(lambda: agent.deployment(certificate["id"]))
    assert again["id"] == job and world.job_now(job)["attempts"] == 2


def test_a_job_that_was_not_taken_cannot_be_reported(world):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    job, = world.jobs_of(certificate, status="Pending")
    refused(agent.report(job["id"], "Completed"), 409)
    refused(agent.report("job-none", "Completed"), 404)
    assert world.job_now(job)["status"] == "Pending"


def test_pending_deployments_counts_what_is_left(world):
    agent = world.agent()
    targets = [world.target(agent)["id"] for _ in range(3)]
    certificate = world.certificate(target_ids=targets)
    world.issue(agent, certificate)
    left = []
    for item in agent.jobs():
        left.append(ok(agent.report(item["id"], "Completed"))[
            "pending_deployments"])
    assert left == [2, 1, 0]


def test_a_csr_the_agent_cannot_make_is_a_failed_job(world):
    agent, _, certificate = world.site()
    job = world.renew(certificate)["job_id"]
    ok(agent.report(job, "Failed", "key storage failed: disk full"))
    now = world.job_now(job)
    assert now["status"] == "Failed" and now["attempts"] == 1
    assert "disk full" in now["last_error"]


# ---- Retirement ------------------------------------------------------

def test_retiring_an_idle_agent(world):
    agent = world.agent()
    reply = ok(world.api.delete(agent_path(agent)))
    assert reply["already_retired"] is False and reply["cascade"] is False
    assert reply["counts"] == {"active_targets": 0, "active_certificates": 0,
                               "pending_jobs": 0}
    assert reply["retired_at"] > "2020"
    ok(world.api.delete(agent_path(agent)), 204)
    now = world.get(agent_path(agent))
    assert now["retired_at"] == reply["retired_at"]
    assert agent.id in [r["id"] for r in world.get(
        "/agents/retired?per_page=500")["data"]]
    assert agent.id not in [r["id"] for r in world.get(
        "/agents?per_page=500")["data"]]


def test_a_retired_agent_is_told_so(world):
    agent = world.agent()
    ok(world.api.delete(agent_path(agent)))
    for reply in (agent.heartbeat(), agent.work()):
        assert refused(reply, 410) == "Agent has been retired"


def test_an_agent_with_dependents_needs_force_and_a_reason(world):
    agent, target, certificate = world.site()
    job = world.renew(certificate)["job_id"]
    counts = {"active_targets": 1, "active_certificates": 1,
              "pending_jobs": 1}
    reply = world.api.delete(agent_path(agent))
    assert reply.status == 409
    assert reply.json["error"] == "blocked_by_dependencies"
    assert reply.json["counts"] == counts and reply.json["message"]
    assert world.api.delete(agent_path(agent) + "?force=maybe").status == 409
    refused(world.api.delete(agent_path(agent) + "?force=true"), 400)
    reply = ok(world.api.delete(agent_path(agent) +
                                "?force=true&reason=scrapped%20host"))
    assert reply["cascade"] is True and reply["counts"] == counts
    assert world.get(agent_path(agent))["retired_reason"] == "scrapped host"
    assert world.get("/targets/" + target["id"])["retired_at"] > "2020"
    assert world.job_now(job)["status"] == "Cancelled"
    assert world.certificate_now(certificate)["status"] != \
        "RenewalInProgress"


def test_reserved_agents_are_never_retired(api):
    for name in ("server-scanner", "cloud-aws-sm", "cloud-azure-kv",
                 "cloud-gcp-sm"):
        assert api.delete("/agents/" + name).status == 403
