"""Known defects of earlier certctl, each shown to be gone.

COVERED names the tests that show it where one of the other files does; what
they leave open is tested here.  Sheets: api (core API), domain, agent,
scheduler, config, newer.
"""

import datetime
import importlib
import time

import pytest

from lib import (fingerprint_of, listed, make_csr, ok, query, refused,
                 split_chain, unique, wait_for, x509)
from stack import SqlError

COVERED = {
    "api D1": "test_common.test_anything_but_bearer_and_a_known_key_is_401",
    "api D3": "test_common.test_every_list_honours_paging",
    "api D4": "test_common.test_times_are_utc_and_nothing_is_null",
    "api D5": "test_common.test_every_reply_carries_the_security_headers",
    "api D6": "test_common.test_the_limit_counts_keys_and_addresses_apart",
    "api D7": "test_certificates."
              "test_expires_before_takes_a_date_or_an_instant",
    "api D8": "test_certificates.test_a_cursor_walk_yields_every_row_once",
    "api D9": "test_certificates.test_targets_can_be_changed",
    "api D11": "test_certificates.test_an_unknown_certificate_is_404",
    "api D13": "test_certificates."
               "test_an_update_replaces_what_is_present_and_keeps_the_rest",
    "api D14": "test_certificates.test_renew_refuses_what_is_over",
    "api D15": "test_certificates.test_deploy_to_one_target_makes_one_job",
    "api D21": "test_directory.test_an_update_keeps_what_is_absent",
    "api D22": "test_issuers_targets.test_retired_targets_leave_the_list",
    "api D23": "test_directory."
               "test_a_team_with_owners_or_certificates_stays",
    "api D24": "test_agents."
               "test_the_bootstrap_token_registers_in_either_header",
    "api D25": "test_jobs.test_jobs_are_filtered_by_each_name",
    "api D26": "test_agents.test_a_silent_agent_is_offline_until_it_speaks",
    "api D27": "test_agents.test_a_retired_agent_is_told_so",
    "api D28": "test_agents."
               "test_a_deployment_item_carries_the_real_configuration",
    "api D29": "test_agents."
               "test_each_agent_has_a_certificate_of_its_own_key",
    "api D30": "test_agents."
               "test_a_deployment_completes_once_and_may_be_repeated",
    "api D31": "test_jobs.test_a_verification_is_stored_and_read_back",
    "api D32": "test_jobs."
               "test_cancelling_a_renewal_lets_its_certificate_rest",
    "api D34": "test_jobs."
               "test_a_failed_probe_without_fingerprints_is_recorded",
    "api D36": "test_directory."
               "test_an_approval_that_would_not_happen_is_refused",
    "api D39": "test_jobs.test_audit_events_are_filtered_by_each_name",
    "api D41": "test_scheduler.test_what_is_due_is_renewed_once",
    "api D43": "test_common.test_a_body_over_the_limit_is_413",
    "domain D2": "test_main_job.test_an_old_agent_does_the_whole_job",
    "domain D4": "test_scheduler."
                 "test_a_csr_that_never_comes_times_out_from_when_it_was_"
                 "asked_for",
    "domain D6": "test_scheduler.test_a_certificate_that_was_never_issued_"
                 "is_neither_expired_nor_alerted",
    "domain D7": "test_scheduler."
                 "test_an_alert_is_given_once_for_each_threshold",
    "domain D13": "test_agents."
                  "test_one_agent_cannot_touch_anothers_work",
    "domain D17": "test_common."
                  "test_the_limit_counts_keys_and_addresses_apart",
    "agent D1": "test_agents.test_deployments_come_first",
    "agent D2": "test_issuers_targets."
                "test_masked_values_sent_back_keep_the_real_ones",
    "agent D3": "test_agents."
                "test_the_bootstrap_token_registers_in_either_header",
    "agent D4": "test_agents."
                "test_an_agents_key_opens_its_own_paths_alone",
    "agent D5": "test_hostile.test_an_id_that_is_no_name_is_refused",
    "agent D6": "test_main_job.test_a_renewal_wipes_the_key_before",
    "agent D8": "test_agents.test_a_csr_nobody_asked_for_is_409",
    "agent D9": "test_faults."
                "test_an_agents_lost_deployment_is_offered_again",
    "agent D10": "test_main_job."
                 "test_an_old_agents_failed_probe_does_not_fail_its_"
                 "deployment",
    "agent D14": "test_main_job.test_the_served_key_follows_the_profile",
    "agent D20": "test_agents."
                 "test_an_agent_with_dependents_needs_force_and_a_reason",
    "scheduler S1": "test_main_job."
                    "test_two_workers_issue_each_renewal_exactly_once",
    "scheduler S2": "test_faults."
                    "test_a_running_job_of_a_dead_worker_is_taken_over",
    "scheduler S3": "test_scheduler.test_retries_wait_longer_each_time",
    "scheduler S6": "test_scheduler."
                    "test_marking_agents_offline_undoes_no_heartbeat",
    "config C1": "test_configuration."
                 "test_a_secret_of_nothing_refuses_to_start",
    "config C2": "test_configuration."
                 "test_a_bad_or_unknown_value_refuses_to_start",
    "config C3": "test_configuration."
                 "test_a_bad_or_unknown_value_refuses_to_start",
    "config C4": "test_common."
                 "test_the_limit_counts_keys_and_addresses_apart",
    "config C5": "test_agents."
                 "test_the_bootstrap_token_registers_in_either_header",
    "config C8": "test_configuration."
                 "test_a_responder_without_a_socket_ends",
    "newer N3": "test_issuers_targets."
                "test_a_command_for_a_shell_is_refused",
}


@pytest.mark.parametrize("defect", COVERED)
def test_the_covering_test_exists(defect):
    module, name = COVERED[defect].split(".")
    assert callable(getattr(importlib.import_module(module), name))


def events(api, **parameters):
    return listed(api.get("/audit" + query(per_page=500, **parameters)))[
        "data"]


# ---- api D12, domain D14: every change is an event -------------------

def issued(world):
    agent, target, certificate = world.site()
    world.issue(agent, certificate)
    return agent, target, certificate


def renamed(world, path, thing):
    ok(world.api.put(f"{path}/{thing['id']}", {"name": unique("new")}))
    return thing["id"]


def deleted(world, path, thing):
    ok(world.api.delete(f"{path}/{thing['id']}"), 204)
    return thing["id"]


def archived(world):
    return deleted(world, "/certificates", world.certificate())


def retired(world, force):
    agent, _, _ = world.site()
    if not force:
        agent = world.agent()
    ok(world.api.delete(f"/agents/{agent.id}" + (
        "?force=true&reason=gone" if force else "")))
    return agent.id


def renewed(world):
    certificate = world.certificate()
    world.renew(certificate)
    return certificate["id"]


def redeployed(world):
    agent, _, certificate = issued(world)
    world.deployed(agent, certificate)
    ok(world.api.post(f"/certificates/{certificate['id']}/deploy", {}), 202)
    return certificate["id"]


def cancelled(world):
    job = world.renew(world.certificate())["job_id"]
    ok(world.api.post(f"/jobs/{job}/cancel", {}))
    return job


def reported(world):
    agent, _, certificate = issued(world)
    job, = [j for j in agent.jobs()]
    ok(agent.report(job["id"], "Completed"))
    return job["id"]


def verified(world, good):
    agent, target, _ = issued(world)
    job, = agent.jobs()
    ok(agent.verify(job["id"], target["id"], "a" * 64, "a" * 64 if good
                    else "b" * 64, good))
    return job["id"]


def fetched(world):
    agent, _, certificate = issued(world)
    ok(agent.fetch(certificate["id"]))
    return certificate["id"]


def probed(world, path, thing, status=200):
    ok(world.api.post(f"{path}/{thing['id']}/test"), status)
    return thing["id"]


CHANGES = {
    "certificate_created": lambda w: w.certificate()["id"],
    "certificate_updated": lambda w: renamed(w, "/certificates",
                                             w.certificate()),
    "certificate_archived": archived,
    "renewal_triggered": renewed,
    "deployment_triggered": redeployed,
    "csr_submitted": lambda w: issued(w)[2]["id"],
    "renewal_job_completed": lambda w: issued(w)[2]["id"],
    "certificate_retrieved": fetched,
    "create_team": lambda w: w.team()["id"],
    "update_team": lambda w: renamed(w, "/teams", w.team()),
    "delete_team": lambda w: deleted(w, "/teams", w.team()),
    "create_owner": lambda w: w.owner()["id"],
    "update_owner": lambda w: renamed(w, "/owners", w.owner()),
    "delete_owner": lambda w: deleted(w, "/owners", w.owner()),
    "create_profile": lambda w: w.profile()["id"],
    "update_profile": lambda w: renamed(w, "/profiles", w.profile()),
    "delete_profile": lambda w: deleted(w, "/profiles", w.profile()),
    "create_renewal_policy": lambda w: w.policy()["id"],
    "update_renewal_policy": lambda w: renamed(w, "/renewal-policies",
                                               w.policy()),
    "delete_renewal_policy": lambda w: deleted(w, "/renewal-policies",
                                               w.policy()),
    "create_issuer": lambda w: w.issuer()["id"],
    "update_issuer": lambda w: renamed(w, "/issuers", w.issuer()),
    "delete_issuer": lambda w: deleted(w, "/issuers", w.issuer()),
    "issuer_test_connection_success": lambda w: probed(w, "/issuers",
                                                       w.issuer()),
    "create_target": lambda w: w.site()[1]["id"],
    "update_target": lambda w: renamed(w, "/targets", w.site()[1]),
    "delete_target": lambda w: deleted(w, "/targets", w.site()[1]),
    "target_test_connection_success": lambda w: probed(w, "/targets",
                                                       w.site()[1]),
    "agent_registered": lambda w: w.agent().id,
    "agent_retired": lambda w: retired(w, False),
    "agent_retirement_cascaded": lambda w: retired(w, True),
    "job_cancelled": cancelled,
    "job_status_reported": reported,
    "job_verification_success": lambda w: verified(w, True),
    "job_verification_failed": lambda w: verified(w, False),
}
BY_AGENT = {"csr_submitted", "certificate_retrieved", "job_status_reported",
            "job_verification_success", "job_verification_failed"}


@pytest.mark.parametrize("action", CHANGES)
def test_api_D12_each_change_is_recorded_with_its_actor(world, api, action):
    resource = CHANGES[action](world)
    found = wait_for(lambda: events(api, resource_id=resource,
                                    action=action), 5,
                     what=f"{action} of {resource}")
    assert len(found) == 1, found
    event, = found
    user = ok(api.get("/auth/check"))["user"]
    if action in BY_AGENT:
        assert event["actor_type"] == "Agent"
        assert event["actor"].startswith("agent-")
    elif action == "renewal_job_completed":
        assert event["actor_type"] == "System"
        assert event["details"]["serial"] and event["details"]["job_id"]
    elif not action.startswith(("issuer_test", "target_test")):
        assert (event["actor"], event["actor_type"]) == (user, "User")


def test_domain_D14_audit_rows_can_be_neither_changed_nor_removed(api, db):
    ok(api.get("/teams"))
    for role in ("certctl_api", "certctl", "postgres"):
        for statement in (
                "UPDATE audit_events SET actor = 'nobody'",
                "DELETE FROM audit_events", "TRUNCATE audit_events",
                "TRUNCATE audit_events CASCADE"):
            with pytest.raises(SqlError):
                db(statement, role=role)
    assert int(db("SELECT count(*) FROM audit_events")[0][0]) > 0


def test_domain_D14_a_role_can_do_no_more_than_it_must(db):
    for role, *statements in (
            ("certctl_api", "SELECT tbs FROM issuance_intents LIMIT 1",
             "SELECT sealed_key FROM ocsp_responders",
             "DELETE FROM managed_certificates",
             "INSERT INTO certificate_versions (id) VALUES ('x')"),
            # It can open what is sealed.
            ("certctl_pki", "SELECT encrypted_config FROM issuers",
             "SELECT config FROM deployment_targets",
             "DELETE FROM certificate_revocations",
             "UPDATE crls SET number = 1", "SELECT 1 FROM audit_events"),
            ("certctl_est", "SELECT sealed_key FROM ocsp_responders",
             "SELECT tbs FROM issuance_intents LIMIT 1",
             "DELETE FROM certificate_revocations",
             "UPDATE certificate_revocations SET released_at = now()",
             "UPDATE ca_keys SET cert_pem = ''",
             "SELECT 1 FROM audit_events")):
        for statement in (*statements, "DROP TABLE jobs",
                          "CREATE TABLE evil (a int)",
                          "ALTER TABLE audit_events DISABLE TRIGGER ALL"):
            with pytest.raises(SqlError, match="permission denied|must be "
                               "owner"):
                db(statement, role=role)


def test_domain_D14_long_paths_are_recorded_whole(api):
    path = "/api/v1/teams/" + unique("x" * 600)
    api.call("GET", path)
    row, = wait_for(lambda: events(api, resource_id=path))
    assert row["details"]["path"] == path


def test_domain_D14_heartbeats_and_empty_polls_are_not_recorded(world, api):
    agent = world.agent()
    for _ in range(3):
        ok(agent.heartbeat())
        ok(agent.work())
    assert events(api, actor=agent.id) == []
    ok(agent.work())
    assert agent.client.get("/teams").status == 403     # this one is
    wait_for(lambda: events(api, actor=agent.id))


def test_domain_D14_a_change_and_its_event_are_one(world, api, db):
    """A refused change leaves neither."""
    team = world.team()
    refused(api.put("/teams/" + team["id"], {"name": ""}), 400)
    refused(api.post("/teams", {"id": team["id"], "name": unique("x")}), 409)
    assert [e["action"] for e in events(api, resource_id=team["id"])] == [
        "create_team"]


# ---- api D11: the right status, where the other files leave it open --

@pytest.mark.parametrize("method,path,body", [
    ("PUT", "/teams/none", {"name": "x"}), ("PUT", "/owners/none", {}),
    ("PUT", "/targets/none", {"name": "x"}), ("DELETE", "/teams/none", None),
    ("DELETE", "/targets/none", None), ("POST", "/issuers/none/test", None),
    ("POST", "/jobs/none/cancel", None), ("GET", "/jobs/none/verification",
                                          None)])
def test_api_D11_unknown_is_404(api, method, path, body):
    refused(api.call(method, "/api/v1" + path, body), 404)


# ---- api D21, domain D10 ---------------------------------------------

def test_domain_D10_an_update_without_config_keeps_the_secret(world, sub_ca):
    issuer = world.issuer(config=sub_ca)
    ok(world.api.put("/issuers/" + issuer["id"], {"name": unique("issuer")}))
    agent, _, certificate = world.site(issuer_id=issuer["id"])
    _, version = world.issue(agent, certificate)
    assert "Test Issuing CA" in x509(version["pem_chain"], "-issuer")


def test_domain_D10_an_issuers_unknown_secret_is_not_shown(world):
    reply = world.api.post("/issuers", {
        "name": unique("issuer"), "type": "local",
        "config": {"api_token": "t0p-s3cret"}})
    assert reply.status in (201, 400)
    assert "t0p-s3cret" not in reply.text
    assert "t0p-s3cret" not in world.api.get("/issuers?per_page=500").text


# ---- api D22, D27, D29 -----------------------------------------------

def test_api_D27_only_its_agent_takes_a_deployment(world):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    time.sleep(2)       # several rounds of the workers
    job, = world.jobs_of(certificate, type="Deployment")
    assert job["status"] == "Pending"
    assert agent.deployment(certificate["id"])["id"] == job["id"]


def test_api_D29_two_csrs_at_once_are_one_certificate(world):
    agent, _, certificate = world.site()
    world.renew(certificate)
    csrs = [make_csr(certificate["common_name"], certificate["sans"])[1]
            for _ in range(2)]
    statuses = sorted(agent.submit(csr, certificate["id"]).status
                      for csr in csrs)
    assert statuses == [202, 409]
    wait_for(lambda: world.versions(certificate))
    time.sleep(1)
    assert len(world.versions(certificate)) == 1


def test_agent_D8_a_deployment_gets_the_version_it_was_made_for(world):
    agent, _, certificate = world.site()
    _, first = world.issue(agent, certificate)
    item = agent.deployment(certificate["id"])
    _, second = world.issue(agent, certificate)     # meanwhile
    pem = ok(agent.fetch(certificate["id"]))["certificate_pem"]
    assert fingerprint_of(split_chain(pem)[0]) == item["fingerprint"] == \
        first["fingerprint_sha256"]
    ok(agent.report(item["id"], "Completed"))
    item = agent.deployment(certificate["id"])
    assert item["fingerprint"] == second["fingerprint_sha256"]
    pem = ok(agent.fetch(certificate["id"]))["certificate_pem"]
    assert fingerprint_of(split_chain(pem)[0]) == item["fingerprint"]


def test_agent_D11_a_csr_is_answered_before_it_is_issued(world, stack):
    stack.stop("workers")
    try:
        agent, _, certificate = world.site()
        world.renew(certificate)
        started = time.monotonic()
        _, csr = make_csr(certificate["common_name"], certificate["sans"])
        ok(agent.submit(csr, certificate["id"]), 202)
        assert time.monotonic() - started < 5
        assert world.versions(certificate) == []
    finally:
        stack.start("workers")
    wait_for(lambda: world.versions(certificate), what="issuance")


def test_agent_D13_an_address_asked_for_as_a_name_is_certified_as_one(world):
    agent, _, certificate = world.site(
        common_name="localhost", sans=["localhost", "10.9.8.7"])
    world.renew(certificate)
    _, csr = make_csr("localhost", ["DNS:localhost", "DNS:10.9.8.7"])
    ok(agent.submit(csr, certificate["id"]), 202)
    version, = wait_for(lambda: world.versions(certificate))
    names = x509(split_chain(version["pem_chain"])[0], "-ext",
                 "subjectAltName")
    assert "IP Address:10.9.8.7" in names and "DNS:10.9" not in names


# ---- api D30, D31 ----------------------------------------------------

def test_api_D31_a_mismatch_is_never_recorded_as_success(world):
    agent, target, certificate = issued(world)
    job, = agent.jobs()
    reply = agent.verify(job["id"], target["id"], "a" * 64, "b" * 64, True)
    assert reply.status in (200, 400)
    assert world.job_now(job)["verification_status"] != "success"


def test_domain_D5_a_late_write_undoes_nothing(world, db):
    agent, _, certificate = issued(world)
    job, = agent.jobs()
    ok(world.api.delete("/certificates/" + certificate["id"]), 204)
    agent.report(job["id"], "Completed")
    now = world.certificate_now(certificate)
    assert now["status"] == "Archived"
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    world.renew(certificate)
    _, csr = make_csr(certificate["common_name"], certificate["sans"])
    db("UPDATE managed_certificates SET status = 'Revoked', revoked_at = "
       f"now() WHERE id = '{certificate['id']}'")
    agent.submit(csr, certificate["id"])
    time.sleep(2)
    assert world.certificate_now(certificate)["status"] == "Revoked"


# ---- domain D15 ------------------------------------------------------

def test_domain_D15_each_migration_is_applied_once(stack, db):
    before = db("SELECT version, applied_at FROM schema_migrations "
                "ORDER BY 1")
    assert len(before) >= 2
    assert [int(v) for v, _ in before] == list(range(1, len(before) + 1))
    stack.restart("workers")
    assert db("SELECT version, applied_at FROM schema_migrations "
              "ORDER BY 1") == before


def test_domain_D15_a_deleted_seed_does_not_return(stack, api, db, world):
    """The first policy is set aside, and a restart brings no second one."""
    db("UPDATE renewal_policies SET name = 'Mine now' WHERE id = "
       "'rp-default'")
    try:
        stack.restart("workers", "api")
        assert ok(api.get("/renewal-policies/rp-default"))[
            "name"] == "Mine now"
        assert db("SELECT count(*) FROM renewal_policies WHERE name = "
                  "'Default'") == [["0"]]
    finally:
        db("UPDATE renewal_policies SET name = 'Default' WHERE id = "
           "'rp-default'")


def test_domain_D15_statuses_in_the_database_are_spelt_as_on_the_wire(db):
    for table in ("managed_certificates", "jobs", "agents"):
        for (status,) in db(f"SELECT DISTINCT status FROM {table}"):
            assert status[0].isupper()
        default = db("SELECT column_default FROM information_schema.columns "
                     f"WHERE table_name = '{table}' AND column_name = "
                     "'status'")[0][0]
        assert default == "" or default[1].isupper()


# ---- domain D17: every process sees an edit at once ------------------

def test_domain_D17_an_edited_issuer_issues_as_edited(world):
    issuer = world.issuer()
    agent, target, certificate = world.site(issuer_id=issuer["id"])
    world.issue(agent, certificate)
    for days in (7, 9):
        ok(world.api.put("/issuers/" + issuer["id"], {"config": {
            **issuer["config"], "validity_days": days}}))
        for _ in range(4):      # whichever worker takes it
            other = world.certificate(issuer_id=issuer["id"],
                                      target_ids=[target["id"]])
            _, version = world.issue(agent, other)
            life = (version["not_before"][:10], version["not_after"][:10])
            assert days_between(*life) in (days, days + 1), life


def days_between(first, last):
    a, b = (datetime.date.fromisoformat(d) for d in (first, last))
    return (b - a).days


# ---- newer -----------------------------------------------------------

def test_newer_N1_an_agents_own_key_does_everything_it_needs(world):
    agent, target, certificate = issued(world)
    ok(agent.heartbeat())
    job, = agent.jobs()
    ok(agent.fetch(certificate["id"]))
    ok(agent.verify(job["id"], target["id"], "a" * 64, "a" * 64, True))
    ok(agent.report(job["id"], "Completed"))


def test_newer_N2_a_target_without_a_validate_command_is_judged_at_once(
        world):
    """Told when it is made, not when it is deployed."""
    agent = world.agent()
    reply = world.api.post("/targets", {
        "name": unique("target"), "type": "NGINX", "agent_id": agent.id,
        "config": {"cert_path": "/a"}})
    refused(reply, 400)
