"""Teams, owners, profiles and renewal policies."""

import pytest

from lib import listed, ok, query, refused, unique

KINDS = {
    "/teams": (
        {"description": "who runs the shop"},
        {"description": "someone else"}, "team-"),
    "/owners": (
        {"email": "ops@example.org"}, {"email": "dev@example.org"}, "owner-"),
    "/profiles": (
        {"description": "servers", "enabled": True,
         "allowed_key_algorithms": [{"algorithm": "ECDSA", "min_size": 384}],
         "allowed_ekus": ["serverAuth", "clientAuth"],
         "max_ttl_seconds": 864000,
         "required_san_patterns": [r".*\.example\.org"]},
        {"max_ttl_seconds": 7200}, "prof-"),
    "/renewal-policies": (
        {"renewal_window_days": 20, "auto_renew": True, "max_retries": 5,
         "retry_interval_seconds": 120, "alert_thresholds_days": [20, 5]},
        {"renewal_window_days": 10}, "rp-"),
}
CHOOSABLE = ["/teams", "/owners", "/profiles"]


def body_of(path, world, **over):
    body = {"name": unique("dir"), **KINDS[path][0], **over}
    if path == "/owners":
        body.setdefault("team_id", world.team_id)
    return body


def make(path, world, **over):
    return ok(world.api.post(path, body_of(path, world, **over)), 201)


@pytest.fixture(params=KINDS)
def path(request):
    return request.param


def test_what_is_sent_is_stored_and_read_back(world, path):
    body = body_of(path, world)
    made = ok(world.api.post(path, body), 201)
    for name, value in body.items():
        assert made[name] == value, name
    assert made["id"].startswith(KINDS[path][2])
    assert made["created_at"] > "2020" and made["updated_at"] > "2020"
    assert ok(world.api.get(f"{path}/{made['id']}")) == made


def test_the_newest_is_in_the_list(world, path):
    made = make(path, world)
    rows = listed(world.api.get(path + query(per_page=500)))["data"]
    assert made in rows


@pytest.mark.parametrize("name", [None, "", "n" * 256, 7])
def test_a_name_is_required_and_bounded(world, path, name):
    refused(world.api.post(path, body_of(path, world, name=name)), 400)


def test_an_update_keeps_what_is_absent(world, path):
    before = make(path, world)
    change = KINDS[path][1]
    after = ok(world.api.put(f"{path}/{before['id']}", change))
    want = {**before, **change, "updated_at": after["updated_at"]}
    assert after == want
    assert after["updated_at"] >= before["updated_at"]
    assert ok(world.api.get(f"{path}/{before['id']}")) == after


def test_an_empty_update_keeps_everything(world, path):
    before = make(path, world)
    after = ok(world.api.put(f"{path}/{before['id']}", {}))
    assert {**after, "updated_at": ""} == {**before, "updated_at": ""}


def test_a_name_cannot_be_emptied(world, path):
    made = make(path, world)
    refused(world.api.put(f"{path}/{made['id']}", {"name": ""}), 400)
    assert ok(world.api.get(f"{path}/{made['id']}")) == made


def test_what_is_not_there_is_404(world, path):
    for method, body in (("GET", None), ("PUT", {"name": "x"}),
                         ("DELETE", None)):
        refused(world.api.call(method, f"/api/v1{path}/none", body), 404)


def test_delete_is_204_and_then_404(world, path):
    made = make(path, world)
    ok(world.api.delete(f"{path}/{made['id']}"), 204)
    refused(world.api.get(f"{path}/{made['id']}"), 404)
    refused(world.api.delete(f"{path}/{made['id']}"), 404)


@pytest.mark.parametrize("kind", ["/teams", "/profiles", "/renewal-policies"])
def test_a_name_is_taken_once(world, kind):
    first, second = make(kind, world), make(kind, world)
    refused(world.api.post(kind, body_of(kind, world, name=first["name"])),
            409)
    refused(world.api.put(f"{kind}/{second['id']}", {"name": first["name"]}),
            409)


@pytest.mark.parametrize("kind", CHOOSABLE)
def test_the_client_may_choose_the_id_once(world, kind):
    mine = unique("mine")
    assert make(kind, world, id=mine)["id"] == mine
    refused(world.api.post(kind, body_of(kind, world, id=mine)), 409)


# ---- Teams and owners ------------------------------------------------

def test_a_team_with_owners_or_certificates_stays(world):
    team = world.team()["id"]
    owner = world.owner(team_id=team)
    refused(world.api.delete("/teams/" + team), 409)
    other = world.team()["id"]
    ok(world.api.put("/owners/" + owner["id"], {"team_id": other}))
    world.certificate(team_id=team)
    refused(world.api.delete("/teams/" + team), 409)
    ok(world.api.get("/teams/" + team))


def test_an_owner_of_certificates_stays(world):
    owner = world.owner()["id"]
    world.certificate(owner_id=owner)
    refused(world.api.delete("/owners/" + owner), 409)


def test_an_owner_needs_no_team_but_not_a_wrong_one(world):
    made = ok(world.api.post("/owners", {"name": unique("owner"),
                                         "email": "x@example.org"}), 201)
    assert made["team_id"] == ""
    refused(world.api.post("/owners", {"name": unique("owner"),
                                       "team_id": "none"}), 400)
    refused(world.api.put("/owners/" + made["id"], {"team_id": "none"}), 400)


def test_owners_may_share_a_name(world):
    first = world.owner()
    ok(world.api.post("/owners", {"name": first["name"], "email": "",
                                  "team_id": world.team_id}), 201)


# ---- Profiles --------------------------------------------------------

def test_a_new_profile_has_sensible_defaults(world):
    made = ok(world.api.post("/profiles", {"name": unique("profile")}), 201)
    assert made["allowed_key_algorithms"] == [
        {"algorithm": "ECDSA", "min_size": 256},
        {"algorithm": "RSA", "min_size": 2048}]
    assert made["allowed_ekus"] == ["serverAuth"]
    assert made["required_san_patterns"] == []
    assert made["max_ttl_seconds"] == 0 and made["spiffe_uri_pattern"] == ""
    assert made["allow_short_lived"] is False
    assert made["must_staple"] is False
    assert made["enabled"] is False


@pytest.mark.parametrize("member,value", [
    ("allowed_key_algorithms", [{"algorithm": "RSA", "min_size": 1024}]),
    ("allowed_key_algorithms", [{"algorithm": "ECDSA", "min_size": 192}]),
    ("allowed_key_algorithms", [{"algorithm": "DSA", "min_size": 2048}]),
    ("allowed_key_algorithms", [{"min_size": 2048}]),
    ("allowed_key_algorithms", ["RSA"]),
    ("allowed_key_algorithms", {"algorithm": "RSA"}),
    ("allowed_ekus", ["serverAuth", "world-domination"]),
    ("allowed_ekus", "serverAuth"),
    ("max_ttl_seconds", -1), ("max_ttl_seconds", 1 << 40),
    ("max_ttl_seconds", "86400"), ("max_ttl_seconds", 1.5),
    ("required_san_patterns", ["("]), ("required_san_patterns", [1]),
    ("enabled", "yes"), ("acme_auth_mode", "trust-me"),
    ("spiffe_uri_pattern", "x" * 513)])
def test_a_profile_with_a_bad_rule_is_refused(world, member, value):
    body = {"name": unique("profile"), member: value}
    refused(world.api.post("/profiles", body), 400)
    made = world.profile()
    refused(world.api.put("/profiles/" + made["id"], {member: value}), 400)
    assert ok(world.api.get("/profiles/" + made["id"])) == made


def test_short_lived_means_below_an_hour(world):
    body = {"name": unique("profile"), "allow_short_lived": True}
    refused(world.api.post("/profiles", {**body, "max_ttl_seconds": 3600}),
            400)
    made = ok(world.api.post("/profiles", {**body, "max_ttl_seconds": 3599}),
              201)
    refused(world.api.put("/profiles/" + made["id"],
                          {"max_ttl_seconds": 86400}), 400)


@pytest.mark.parametrize("member,value", [
    ("required_csr_attributes", ["deviceSerialNumber"]),
    ("acme_auth_mode", "challenge"), ("must_staple", True)])
def test_every_member_that_is_echoed_is_stored(world, member, value):
    made = world.profile(**{member: value})
    assert ok(world.api.get("/profiles/" + made["id"]))[member] == value


def test_an_approval_that_would_not_happen_is_refused(world):
    body = {"name": unique("profile"), "requires_approval": True}
    message = refused(world.api.post("/profiles", body), 400)
    assert "approvals are not available yet" in message
    made = world.profile(requires_approval=False)
    message = refused(world.api.put("/profiles/" + made["id"],
                                    {"requires_approval": True}), 400)
    assert "approvals are not available yet" in message


def test_deleting_a_profile_clears_the_reference(world):
    profile = world.profile()["id"]
    certificate = world.certificate(certificate_profile_id=profile)
    ok(world.api.delete("/profiles/" + profile), 204)
    assert not world.certificate_now(certificate).get(
        "certificate_profile_id")


# ---- Renewal policies ------------------------------------------------

def test_a_first_policy_is_there_from_the_start(world):
    made = ok(world.api.get("/renewal-policies/rp-default"))
    assert made["renewal_window_days"] == 30 and made["auto_renew"] is True
    assert made["alert_thresholds_days"] == [30, 14, 7, 0]


def test_a_policys_id_is_made_of_its_name(world):
    tag = unique("x").replace("-", "")
    name = f"Gold Policy! {tag} "
    first = ok(world.api.post("/renewal-policies", {"name": name}), 201)
    assert first["id"] == f"rp-gold-policy-{tag}"
    # Another name, the same slug.
    second = ok(world.api.post("/renewal-policies",
                               {"name": f"gold policy {tag}"}), 201)
    assert second["id"] == f"rp-gold-policy-{tag}-2"


def test_a_policy_without_numbers_gets_the_defaults(world):
    made = ok(world.api.post("/renewal-policies", {
        "name": unique("policy"), "renewal_window_days": 0,
        "retry_interval_seconds": 0}), 201)
    assert made["renewal_window_days"] == 30
    assert made["retry_interval_seconds"] == 3600
    assert made["alert_thresholds_days"] == [30, 14, 7, 0]
    assert (made["auto_renew"], made["max_retries"]) == (False, 0)


@pytest.mark.parametrize("member,value", [
    ("renewal_window_days", 366), ("renewal_window_days", -1),
    ("max_retries", 11), ("max_retries", -1),
    ("retry_interval_seconds", 59), ("retry_interval_seconds", 86401),
    ("alert_thresholds_days", [366]), ("alert_thresholds_days", [-1]),
    ("alert_thresholds_days", ["7"]), ("alert_thresholds_days", 7),
    ("certificate_profile_id", "no-such-profile"),
    ("alert_channels", {"critical": ["Pigeon"]}),
    ("alert_channels", {"loud": ["Email"]}),
    ("alert_severity_map", {"7": "loud"})])
def test_a_policy_out_of_bounds_is_refused(world, member, value):
    body = {"name": unique("policy"), member: value}
    refused(world.api.post("/renewal-policies", body), 400)
    made = world.policy()
    path = "/renewal-policies/" + made["id"]
    refused(world.api.put(path, {member: value}), 400)
    assert ok(world.api.get(path)) == made


def test_channels_and_severities_are_stored(world):
    profile = world.profile()["id"]
    more = {"alert_channels": {"critical": ["Email", "Slack"]},
            "alert_severity_map": {"7": "critical"},
            "certificate_profile_id": profile}
    made = world.policy(**more)
    stored = ok(world.api.get("/renewal-policies/" + made["id"]))
    assert {k: stored[k] for k in more} == more


def test_a_policy_in_use_stays(world):
    policy = world.policy()["id"]
    world.certificate(renewal_policy_id=policy)
    refused(world.api.delete("/renewal-policies/" + policy), 409)
