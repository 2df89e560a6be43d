"""Issuers and targets: their configurations, secrets and tests."""

import pytest

from lib import (MASK, listed, make_csr, ok, query, refused, unique,
                 wait_for)

BUILT = ["GenericCA", "genericca", "GENERICCA", "local", "local_ca",
         "Local_CA"]
NOT_YET = ["ACME", "StepCA", "OpenSSL", "VaultPKI", "DigiCert", "Sectigo",
           "GoogleCAS", "AWSACMPCA", "Entrust", "GlobalSign", "EJBCA"]


def target_body(agent, **over):
    body = {"name": unique("target"), "type": "NGINX", "agent_id": agent.id,
            "config": {"cert_path": "/srv/tls/site.crt",
                       "key_path": "/srv/tls/site.key",
                       "chain_path": "/srv/tls/chain.crt",
                       "validate_command": "nginx -t",
                       "reload_command": "nginx -s reload"}}
    body.update(over)
    return body


# ---- Issuers ---------------------------------------------------------

def test_the_local_ca_is_there_from_the_start(api):
    issuer = ok(api.get("/issuers/iss-local"))
    assert (issuer["type"], issuer["enabled"]) == ("GenericCA", True)


@pytest.mark.parametrize("kind", BUILT)
def test_the_local_ca_has_aliases_in_any_case(world, kind):
    made = world.issuer(type=kind)
    assert made["type"] == "GenericCA"
    assert made["enabled"] is True and made["source"] == "database"
    assert made["test_status"] == "untested"
    assert "last_tested_at" not in made


@pytest.mark.parametrize("kind", NOT_YET + ["Sorcery", "", None])
def test_other_types_are_refused_for_now(api, kind):
    refused(api.post("/issuers", {"name": unique("issuer"), "type": kind,
                                  "config": {}}), 400)


@pytest.mark.parametrize("over", [
    {"name": ""}, {"name": None}, {"name": "n" * 256}, {"config": "text"},
    {"config": {"validity_days": "ninety"}}, {"config": {"validity_days": 0}},
    {"config": {"validity_days": -5}},
    {"config": {"ca_cert_path": "/nonexistent/ca.crt"}},
    {"config": {"crl_distribution_point_urls": "http://x"}}])
def test_a_bad_issuer_is_refused(api, over):
    body = {"name": unique("issuer"), "type": "GenericCA", "config": {},
            **over}
    refused(api.post("/issuers", body), 400)


def test_an_issuers_name_and_id_are_taken_once(world):
    first = world.issuer(id=unique("iss-mine"))
    body = {"name": first["name"], "type": "local", "config": {}}
    refused(world.api.post("/issuers", body), 409)
    body = {"id": first["id"], "name": unique("issuer"), "type": "local",
            "config": {}}
    refused(world.api.post("/issuers", body), 409)


def test_an_issuer_update_keeps_what_is_absent(world):
    before = world.issuer(config={"ca_common_name": "Kept CA",
                                  "validity_days": 30})
    path = "/issuers/" + before["id"]
    after = ok(world.api.put(path, {"enabled": False}))
    assert after["enabled"] is False
    assert after["config"]["ca_common_name"] == "Kept CA"
    for name in ("name", "type", "created_at", "config"):
        assert after[name] == before[name]
    renamed = ok(world.api.put(path, {"name": unique("issuer")}))
    assert renamed["enabled"] is False


def test_an_issuer_cannot_turn_into_another_type(world):
    made = world.issuer()
    path = "/issuers/" + made["id"]
    refused(world.api.put(path, {"type": "Sorcery"}), 400)
    assert ok(world.api.get(path))["type"] == "GenericCA"


def test_the_path_of_a_ca_key_is_masked_and_kept(world, db, stack, sub_ca):
    made = world.issuer(config=sub_ca)
    path = "/issuers/" + made["id"]
    assert made["config"]["ca_key_path"] == MASK
    assert sub_ca["ca_key_path"] not in db(
        f"SELECT config::text FROM issuers WHERE id = '{made['id']}'")[0][0]
    config = dict(made["config"], validity_days=20)
    after = ok(world.api.put(path, {"config": config}))
    assert after["config"]["ca_key_path"] == MASK
    assert after["config"]["validity_days"] == 20
    ok(world.api.post(path + "/test"))      # the real path was kept


def test_an_issuer_in_use_stays(world):
    issuer = world.issuer()["id"]
    world.certificate(issuer_id=issuer)
    refused(world.api.delete("/issuers/" + issuer), 409)


def test_an_issuer_is_deleted_once(world):
    issuer = world.issuer()["id"]
    ok(world.api.delete("/issuers/" + issuer), 204)
    refused(world.api.delete("/issuers/" + issuer), 404)
    refused(world.api.get("/issuers/" + issuer), 404)
    refused(world.api.put("/issuers/" + issuer, {"enabled": True}), 404)


def test_a_working_issuer_passes_its_test(world):
    issuer = world.issuer()["id"]
    assert ok(world.api.post(f"/issuers/{issuer}/test")) == {
        "status": "connection_successful"}
    now = ok(world.api.get("/issuers/" + issuer))
    assert now["test_status"] == "success" and now["last_tested_at"] > "2020"


def test_the_first_issuer_passes_its_test(api):
    ok(api.post("/issuers/iss-local/test"))


def test_testing_no_issuer_is_404(api):
    refused(api.post("/issuers/none/test"), 404)


def test_a_disabled_issuer_issues_nothing(world):
    agent, _, certificate = world.site(issuer_id=world.issuer()["id"])
    ok(world.api.put("/issuers/" + certificate["issuer_id"],
                     {"enabled": False}))
    reply = world.api.post(f"/certificates/{certificate['id']}/renew")
    if reply.status == 202:     # then the job has to say why it failed
        _, csr = make_csr(certificate["common_name"], certificate["sans"])
        agent.submit(csr, certificate["id"])
        job = wait_for(lambda: next((
            j for j in world.jobs_of(certificate)
            if j.get("last_error")), None), what="a reason")
        assert "disabled" in job["last_error"]
    else:
        refused(reply, 400 if reply.status == 400 else 409)
    assert world.versions(certificate) == []


# ---- Targets ---------------------------------------------------------

@pytest.mark.parametrize("kind", ["NGINX", "Apache", "HAProxy"])
def test_targets_of_the_built_types_are_made(world, kind):
    agent = world.agent()
    config = {"pem_path": "/srv/tls/site.pem", "reload_command": "reload x"} \
        if kind == "HAProxy" else target_body(agent)["config"]
    body = target_body(agent, type=kind, config=config)
    made = ok(world.api.post("/targets", body), 201)
    assert (made["type"], made["agent_id"]) == (kind, agent.id)
    assert made["enabled"] is True and made["test_status"] == "untested"
    assert "retired_at" not in made
    assert ok(world.api.get("/targets/" + made["id"])) == made


@pytest.mark.parametrize("over", [
    {"name": ""}, {"name": None}, {"name": "n" * 256}, {"type": "Sorcery"},
    {"type": "nginx"}, {"type": None}, {"agent_id": "none"},
    {"agent_id": None}, {"config": []}])
def test_a_bad_target_is_refused(world, over):
    body = target_body(world.agent(), **over)
    refused(world.api.post("/targets", body), 400)


@pytest.mark.parametrize("command", [
    "nginx -t; id", "a | b", "a & b", "$HOME/x", "a `b`", "a $(b)", "a > b",
    "a < b", "a \\ b", "a 'b'", 'a "b"', "a\nb", "x" * 1025, "{a}"])
@pytest.mark.parametrize("member", ["reload_command", "validate_command"])
def test_a_command_for_a_shell_is_refused(world, member, command):
    agent = world.agent()
    body = target_body(agent)
    body["config"][member] = command
    refused(world.api.post("/targets", body), 400)
    made = world.target(agent)
    change = {"config": {**body["config"]}}
    refused(world.api.put("/targets/" + made["id"], change), 400)


def test_a_retired_agent_gets_no_target(world):
    agent = world.agent()
    ok(world.api.delete("/agents/" + agent.id))
    refused(world.api.post("/targets", target_body(agent)), 400)


def test_a_targets_name_is_taken_once_per_agent(world):
    one, other = world.agent(), world.agent()
    first = ok(world.api.post("/targets", target_body(one)), 201)
    refused(world.api.post("/targets", target_body(
        one, name=first["name"])), 409)
    ok(world.api.post("/targets", target_body(
        other, name=first["name"])), 201)


def test_a_target_update_keeps_what_is_absent(world):
    agent, before, certificate = world.site()
    path = "/targets/" + before["id"]
    after = ok(world.api.put(path, {"name": unique("target")}))
    for name in ("type", "agent_id", "config", "enabled", "created_at"):
        assert after[name] == before[name], name
    refused(world.api.put(path, {"type": "Sorcery"}), 400)
    refused(world.api.put(path, {"agent_id": "none"}), 400)


def test_masked_values_sent_back_keep_the_real_ones(world):
    agent, target, certificate = world.site()
    real = {"cert_path": "/srv/a.crt", "key_path": "/srv/a.key",
            "chain_path": "/srv/a.chain", "validate_command": "true",
            "reload_command": "true"}
    path = "/targets/" + target["id"]
    ok(world.api.put(path, {"config": real}))
    shown = dict(ok(world.api.get(path))["config"], key_path=MASK)
    ok(world.api.put(path, {"config": dict(shown, cert_path="/srv/b.crt")}))
    world.issue(agent, certificate)
    item = agent.deployment(certificate["id"])
    assert item["target_config"] == dict(real, cert_path="/srv/b.crt")


def test_secrets_of_later_target_types_are_masked_already(world, db):
    agent, secret = world.agent(), unique("s3cret")
    made = ok(world.api.post("/targets", target_body(
        agent, type="F5", config={"host": "f5.example.org",
                                  "password": secret})), 201)
    assert made["config"] == {"host": "f5.example.org", "password": MASK}
    ok(world.api.put("/targets/" + made["id"], {"name": unique("target")}))
    assert secret not in world.api.get("/targets?per_page=500").text
    assert secret not in world.api.get("/audit?per_page=500").text
    assert db("SELECT count(*) FROM deployment_targets WHERE config::text "
              f"LIKE '%{secret}%' OR position('{secret}'::bytea IN "
              "encrypted_config) > 0") == [["0"]]


def test_deleting_a_target_removes_its_mappings_and_ends_its_work(world):
    agent, target, certificate = world.site()
    world.issue(agent, certificate)
    job = next(j for j in world.jobs_of(certificate)
               if j["type"] == "Deployment")
    ok(world.api.delete("/targets/" + target["id"]), 204)
    refused(world.api.delete("/targets/" + target["id"]), 404)
    assert world.certificate_now(certificate)["target_ids"] == []
    assert world.job_now(job)["status"] == "Cancelled"


@pytest.mark.parametrize("method,path,body", [
    ("GET", "/targets/none", None), ("PUT", "/targets/none", {"name": "x"}),
    ("DELETE", "/targets/none", None), ("POST", "/targets/none/test", {})])
def test_an_unknown_target_is_404(api, method, path, body):
    refused(api.call(method, "/api/v1" + path, body), 404)


def test_a_target_is_reachable_while_its_agent_is(world, db):
    agent, target, _ = world.site()
    path = f"/targets/{target['id']}/test"
    ok(agent.heartbeat())
    reply = ok(world.api.post(path))
    assert reply["status"] == "success" and reply["message"]
    db("UPDATE agents SET last_heartbeat_at = now() - interval '6 minutes' "
       f"WHERE id = '{agent.id}'")
    assert ok(world.api.post(path))["status"] == "failed"
    assert ok(world.api.get("/targets/" + target["id"]))[
        "test_status"] == "failed"
    ok(agent.heartbeat())
    assert ok(world.api.post(path))["status"] == "success"
    ok(world.api.delete(f"/agents/{agent.id}?force=true&reason=gone"))
    assert ok(world.api.post(path))["status"] == "failed"


def test_retired_targets_leave_the_list(world):
    agent, target, _ = world.site()
    ok(world.api.delete(f"/agents/{agent.id}?force=true&reason=gone"))
    rows = listed(world.api.get("/targets" + query(per_page=500)))["data"]
    assert target["id"] not in [r["id"] for r in rows]
    now = ok(world.api.get("/targets/" + target["id"]))
    assert now["retired_at"] > "2020" and now["retired_reason"] == "gone"
