"""Certificates: the resource, its list, and what may be asked of it."""

import base64
import threading

import pytest

from lib import NEVER, World, listed, ok, query, refused, unique

REQUIRED = ["common_name", "owner_id", "team_id", "issuer_id", "name",
            "renewal_policy_id"]
ALWAYS = {"id", "name", "common_name", "environment", "owner_id", "team_id",
          "issuer_id", "renewal_policy_id", "status", "sans", "target_ids",
          "tags", "expires_at", "created_at", "updated_at"}
REFERENCES = ["owner_id", "team_id", "issuer_id", "renewal_policy_id",
              "certificate_profile_id"]


def path(certificate, verb=""):
    return "/certificates/" + certificate["id"] + verb


# ---- Create and read -------------------------------------------------

def test_a_new_certificate_is_pending_and_was_never_issued(world):
    body = world.certificate_body(tags={"service": "shop"})
    made = ok(world.api.post("/certificates", body), 201)
    assert ALWAYS <= set(made)
    for name, value in body.items():
        assert made[name] == value, name
    assert made["status"] == "Pending"
    assert made["expires_at"] == NEVER
    assert made["target_ids"] == []
    assert "last_renewal_at" not in made and "revoked_at" not in made
    assert ok(world.api.get(path(made))) == made


def test_creating_a_certificate_makes_no_job(world):
    assert world.jobs_of(world.certificate()) == []


@pytest.mark.parametrize("member", REQUIRED)
@pytest.mark.parametrize("value", [None, ""])
def test_each_required_member_is_required(world, member, value):
    body = world.certificate_body(**{member: value})
    assert member in refused(world.api.post("/certificates", body), 400)


@pytest.mark.parametrize("member", REFERENCES)
def test_a_reference_to_nothing_is_refused(world, member):
    body = world.certificate_body(**{member: "no-such-id"})
    refused(world.api.post("/certificates", body), 400)


@pytest.mark.parametrize("common_name", [
    "example.org", "*.example.org", "a_b.example.org", "10.0.0.1", "host",
    "2001:db8::1", "ops@example.org", "xn--bcher-kva.example",
    "a" * 63 + ".example.org"])
def test_a_common_name_may_be_a_host_an_address_or_an_email(world,
                                                            common_name):
    assert world.certificate(common_name=common_name, sans=[])[
        "common_name"] == common_name


@pytest.mark.parametrize("common_name", [
    "a..example.org", ".example.org", "-a.example.org", "a-.example.org",
    "ex ample.org", "exa/mple.org", "b\u00fccher.example", "a" * 254, "a\nb",
    "@example.org", "ops@", "a\u202eb.example.org", "<script>"])
def test_any_other_common_name_is_refused(world, common_name):
    body = world.certificate_body(common_name=common_name)
    assert "common_name" in refused(world.api.post("/certificates", body),
                                    400)


def test_the_client_may_choose_the_id_and_else_gets_one(world):
    mine = unique("mc-mine")
    assert world.certificate(id=mine)["id"] == mine
    given = world.certificate(id="", certificate_profile_id="")
    assert given["id"].startswith("cert-")
    assert "certificate_profile_id" not in given


def test_a_name_or_id_is_taken_once(world):
    first = world.certificate()
    body = world.certificate_body(name=first["name"])
    refused(world.api.post("/certificates", body), 409)
    body = world.certificate_body(id=first["id"])
    refused(world.api.post("/certificates", body), 409)


def test_the_body_of_an_import_is_accepted(world):
    body = world.certificate_body(status="Active", sans=None,
                                  environment="imported",
                                  serial_number="0a1b2c")
    made = ok(world.api.post("/certificates", body), 201)
    assert (made["status"], made["sans"]) == ("Active", [])


def test_resource_members_are_taken_as_sent(world):
    made = world.certificate(expires_at="2031-02-03T04:05:06Z", source="API",
                             status="Expiring")
    assert made["expires_at"] == "2031-02-03T04:05:06Z"
    assert (made["source"], made["status"]) == ("API", "Expiring")


@pytest.mark.parametrize("member,value", [
    ("status", "Sleeping"), ("status", "active"), ("source", "Elsewhere"),
    ("expires_at", "tomorrow"), ("tags", {"a": {"b": 1}}), ("tags", ["a"]),
    ("sans", "a.example.org"), ("sans", [1]), ("name", "n" * 256),
    ("environment", "e" * 51), ("target_ids", ["no-such-target"])])
def test_a_member_with_a_value_it_cannot_have_is_refused(world, member,
                                                         value):
    body = world.certificate_body(**{member: value})
    refused(world.api.post("/certificates", body), 400)


def test_targets_are_stored_at_once(world):
    agent, target, certificate = world.site()
    assert certificate["target_ids"] == [target["id"]]
    page = ok(world.api.get(path(certificate, "/deployments")))
    assert set(page) == {"data", "total"} and page["total"] == 1
    assert page["data"][0]["id"] == target["id"]


@pytest.mark.parametrize("method,verb", [
    ("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/deployments"),
    ("POST", "/renew"), ("POST", "/deploy")])
def test_an_unknown_certificate_is_404(api, method, verb):
    body = {"environment": "x"} if method == "PUT" else \
        {} if method == "POST" else None
    refused(api.call(method, "/api/v1/certificates/mc-none" + verb, body),
            404)


def test_an_unknown_certificate_has_no_versions(api):
    page = listed(api.get("/certificates/mc-none/versions"))
    assert (page["data"], page["total"]) == ([], 0)


# ---- Update and archive ----------------------------------------------

def test_an_update_replaces_what_is_present_and_keeps_the_rest(world):
    policy, profile = world.policy(), world.profile()
    before = world.certificate(tags={"a": "1"})
    after = ok(world.api.put(path(before), {
        "renewal_policy_id": policy["id"],
        "certificate_profile_id": profile["id"]}))
    assert after["renewal_policy_id"] == policy["id"]
    assert after["certificate_profile_id"] == profile["id"]
    kept = ALWAYS - {"renewal_policy_id", "updated_at"}
    assert {k: after[k] for k in kept} == {k: before[k] for k in kept}
    assert after["updated_at"] >= before["updated_at"]
    assert ok(world.api.get(path(before))) == after


@pytest.mark.parametrize("member,value", [
    ("common_name", "other.example.org"), ("environment", "staging"),
    ("sans", ["x.example.org", "y.example.org"]), ("tags", {"k": "v"}),
    ("status", "Active"), ("tags", {})])
def test_each_member_can_be_updated(world, member, value):
    certificate = world.certificate(tags={"old": "1"})
    ok(world.api.put(path(certificate), {member: value}))
    assert world.certificate_now(certificate)[member] == value


def test_targets_can_be_changed(world):
    agent, first, certificate = world.site()
    second = world.target(agent)
    ok(world.api.put(path(certificate), {"target_ids": [second["id"]]}))
    assert world.certificate_now(certificate)["target_ids"] == [second["id"]]
    ok(world.api.put(path(certificate), {"target_ids": []}))
    assert world.certificate_now(certificate)["target_ids"] == []


@pytest.mark.parametrize("change,status", [
    ({"common_name": "a..b"}, 400), ({"status": "Sleeping"}, 400),
    ({"owner_id": "no-such"}, 400), ({"team_id": "x" * 256}, 400),
    ({"renewal_policy_id": "no-such"}, 400), ({"tags": "x"}, 400),
    ({"certificate_profile_id": "no-such"}, 400),
    ({"target_ids": ["no-such"]}, 400)])
def test_a_bad_update_changes_nothing(world, change, status):
    certificate = world.certificate()
    refused(world.api.put(path(certificate), change), status)
    assert world.certificate_now(certificate) == certificate


def test_an_update_to_a_taken_name_is_409(world):
    one, other = world.certificate(), world.certificate()
    refused(world.api.put(path(one), {"name": other["name"]}), 409)


def test_the_id_and_the_times_are_not_the_clients_to_set(world):
    certificate = world.certificate()
    after = ok(world.api.put(path(certificate), {
        "id": "mc-other", "created_at": NEVER, "environment": "test"}))
    assert after["id"] == certificate["id"]
    assert after["created_at"] == certificate["created_at"]


def test_delete_archives_and_may_be_repeated(world):
    certificate = world.certificate()
    ok(world.api.delete(path(certificate)), 204)
    ok(world.api.delete(path(certificate)), 204)
    assert world.certificate_now(certificate)["status"] == "Archived"


def test_archiving_ends_open_work(world):
    agent, _, certificate = world.site()
    job = world.renew(certificate)["job_id"]
    ok(world.api.delete(path(certificate)), 204)
    assert world.job_now(job)["status"] == "Cancelled"
    assert agent.jobs() == []


# ---- Lists -----------------------------------------------------------

@pytest.fixture(scope="module")
def fleet(world, db):
    """12 certificates of a team of their own; times and states differ."""
    team = world.team()
    profile = world.profile()
    agent = world.agent()
    target = world.target(agent)
    made = []
    for n in range(12):
        made.append(world.certificate(
            team_id=team["id"], status=["Active", "Expiring"][n % 2],
            environment=["production", "staging", "test"][n % 3],
            expires_at=f"2030-01-{1 + n % 4:02}T00:00:00Z",
            certificate_profile_id=profile["id"] if n < 5 else "",
            target_ids=[target["id"]] if n < 3 else []))
    for n, row in enumerate(made):
        db(f"UPDATE managed_certificates SET created_at = '2024-05-{n + 1}',"
           f" updated_at = '2024-06-{n + 1}' WHERE id = '{row['id']}'")
    return {"team": team["id"], "profile": profile["id"], "agent": agent.id,
            "rows": [world.certificate_now(row) for row in made]}


def rows(world, **parameters):
    return listed(world.api.get("/certificates" + query(
        per_page=500, **parameters)))["data"]


def ids(found):
    return {r["id"] for r in found}


@pytest.mark.parametrize("name,value", [
    ("status", "Active"), ("environment", "staging")])
def test_exact_filters(world, fleet, name, value):
    found = rows(world, team_id=fleet["team"], **{name: value})
    assert ids(found) == ids(r for r in fleet["rows"] if r[name] == value)


def test_filters_by_reference(world, fleet):
    assert ids(rows(world, profile_id=fleet["profile"])) == \
        ids(fleet["rows"][:5])
    assert ids(rows(world, agent_id=fleet["agent"])) == \
        ids(fleet["rows"][:3])
    assert ids(rows(world, team_id=fleet["team"],
                    owner_id=world.owner_id)) == ids(fleet["rows"])
    assert rows(world, team_id=fleet["team"], issuer_id="none") == []


@pytest.mark.parametrize("value", ["2030-01-03", "2030-01-03T00:00:00Z",
                                   "2030-01-03T01:00:00+01:00"])
def test_expires_before_takes_a_date_or_an_instant(world, fleet, value):
    found = rows(world, team_id=fleet["team"], expires_before=value)
    assert ids(found) == ids(r for r in fleet["rows"]
                             if r["expires_at"] < "2030-01-03")


def test_the_other_time_filters(world, fleet):
    found = rows(world, team_id=fleet["team"],
                 expires_after="2030-01-03T00:00:00Z")
    assert ids(found) == ids(r for r in fleet["rows"]
                             if r["expires_at"] > "2030-01-03T00:00:00Z")
    for name, value in (("created_after", "2024-05-06T00:00:00Z"),
                        ("updated_after", "2024-06-06T00:00:00Z")):
        found = rows(world, team_id=fleet["team"], **{name: value})
        assert ids(found) == ids(fleet["rows"][6:])


@pytest.mark.parametrize("name", ["expires_before", "expires_after",
                                  "created_after", "updated_after"])
@pytest.mark.parametrize("value", ["soon", "2030-13-45", "", "0", "'; --"])
def test_a_bad_time_filter_is_ignored(world, fleet, name, value):
    found = rows(world, team_id=fleet["team"], **{name: value})
    assert ids(found) == ids(fleet["rows"])


SORTS = {"notAfter": "expires_at", "expiresAt": "expires_at",
         "createdAt": "created_at", "updatedAt": "updated_at",
         "commonName": "common_name", "name": "name", "status": "status",
         "environment": "environment", "nonsense": "created_at"}


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("form", ["{}", "-{}", "{}&sort_desc=true"])
def test_sorts_in_both_directions(world, fleet, sort, form):
    found = ok(world.api.get("/certificates" + query(
        team_id=fleet["team"], per_page=500) + "&sort=" +
        form.format(sort)))["data"]
    keys = [r[SORTS[sort]] for r in found]
    falling = form != "{}" and (sort != "nonsense" or "sort_desc" in form)
    if sort != "nonsense" or form == "{}":
        assert keys == sorted(keys, reverse=falling)
    assert ids(found) == ids(fleet["rows"])


def test_fields_reduce_each_item(world, fleet):
    found = rows(world, team_id=fleet["team"], fields="id,name,nonsense")
    assert all(set(r) == {"id", "name"} for r in found)
    assert len(found) == len(fleet["rows"])


def test_no_status_is_hidden(world):
    team = world.team()["id"]
    for status in ("Archived", "Revoked", "Failed"):
        world.set_status(world.certificate(team_id=team), status)
    assert {r["status"] for r in rows(world, team_id=team)} == {
        "Archived", "Revoked", "Failed"}


def test_the_total_counts_what_the_filters_leave(world, fleet):
    page = listed(world.api.get("/certificates" + query(
        team_id=fleet["team"], status="Active", per_page=2)))
    assert page["total"] == 6 and len(page["data"]) == 2
    page = listed(world.api.get("/certificates" + query(
        agent_id=fleet["agent"], per_page=1)))
    assert page["total"] == 3


def walk(world, size, **parameters):
    """Every row of a cursor walk, in its order."""
    seen, token = [], ""
    for _ in range(1000):
        page = listed(world.api.get("/certificates" + query(
            cursor=token, page_size=size, **parameters)), cursor=True)
        assert page["page_size"] == size
        assert len(page["data"]) <= size
        seen += page["data"]
        token = page.get("next_cursor")
        if not token:
            return seen
    raise AssertionError("the walk does not end")


@pytest.mark.parametrize("sort", [s for s in SORTS if s != "nonsense"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_cursor_walk_yields_every_row_once(world, fleet, sort, sign):
    for size in (1, 5, 12, 500):
        seen = walk(world, size, team_id=fleet["team"], sort=sign + sort)
        assert len(seen) == 12 and ids(seen) == ids(fleet["rows"])
        keys = [r[SORTS[sort]] for r in seen]
        assert keys == sorted(keys, reverse=sign == "-")


@pytest.mark.parametrize("sort", ["createdAt", "-createdAt", "name"])
def test_a_cursor_walk_is_whole_while_rows_are_inserted(world, sort):
    team = world.team()["id"]
    there = {world.certificate(team_id=team)["id"] for _ in range(25)}
    stop = threading.Event()
    other = World.__new__(World)
    other.__dict__.update(world.__dict__, api=world.api.with_key(
        world.api.key))

    def insert():
        while not stop.is_set():
            other.certificate(team_id=team)

    writer = threading.Thread(target=insert, daemon=True)
    writer.start()
    try:
        seen = []
        token = ""
        while len(seen) < 400:
            page = ok(world.api.get("/certificates" + query(
                cursor=token, page_size=5, team_id=team, sort=sort)))
            seen += [r["id"] for r in page["data"]]
            token = page.get("next_cursor")
            if not token:
                break
    finally:
        stop.set()
        writer.join()
    assert len(seen) == len(set(seen)), "a row came twice"
    assert there <= set(seen), "a row was passed over"


@pytest.mark.parametrize("token", [
    "garbage", "!!!", "AAAA", base64.urlsafe_b64encode(
        b"2030-01-01T00:00:00Z:x';DROP TABLE jobs;--").decode(), "%00"])
def test_a_made_up_cursor_is_refused_or_harmless(world, token):
    reply = world.api.get("/certificates" + query(cursor=token))
    assert reply.status in (200, 400), reply


def test_page_size_sets_the_row_count_in_page_mode_too(world, fleet):
    page = listed(world.api.get("/certificates" + query(
        team_id=fleet["team"], page_size=3)))
    assert len(page["data"]) == 3


# ---- Versions --------------------------------------------------------

def test_versions_come_newest_first_with_all_their_members(world):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    world.issue(agent, certificate)
    page = listed(world.api.get(path(certificate, "/versions")))
    assert page["total"] == 2
    first = page["data"][0]
    assert {"id", "certificate_id", "serial_number", "not_before",
            "not_after", "fingerprint_sha256", "pem_chain", "csr_pem",
            "created_at"} <= set(first)
    assert (first["key_algorithm"], first["key_size"]) == ("ECDSA", 256)
    assert first["created_at"] >= page["data"][1]["created_at"]
    assert first["csr_pem"].startswith("-----BEGIN CERTIFICATE REQUEST")
    assert "PRIVATE" not in str(page)


# ---- Renew and deploy ------------------------------------------------

def test_renew_answers_202_and_names_its_job(world):
    certificate = world.certificate()
    reply = world.renew(certificate)
    assert reply["status"] == "renewal_triggered"
    job = world.job_now(reply["job_id"])
    assert (job["type"], job["status"]) == ("Issuance", "AwaitingCSR")
    assert job["certificate_id"] == certificate["id"]
    assert world.certificate_now(certificate)["status"] == \
        "RenewalInProgress"


def test_a_second_renewal_is_a_renewal(world):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    job = world.job_now(world.renew(certificate)["job_id"])
    assert job["type"] == "Renewal"


def test_renew_makes_one_job_for_each_agent_with_a_target(world):
    one, other = world.agent(), world.agent()
    targets = [world.target(a)["id"] for a in (one, one, other)]
    certificate = world.certificate(target_ids=targets)
    world.renew(certificate)
    jobs = world.jobs_of(certificate)
    assert sorted(j["agent_id"] for j in jobs) == sorted([one.id, other.id])
    assert len({j["id"] for j in jobs}) == 2


@pytest.mark.parametrize("status", ["Archived", "Expired", "Revoked"])
def test_renew_refuses_what_is_over(world, status):
    certificate = world.certificate()
    world.set_status(certificate, status)
    refused(world.api.post(path(certificate, "/renew")), 400)
    assert world.jobs_of(certificate) == []


@pytest.mark.parametrize("status", ["Archived", "Revoked"])
def test_force_does_not_raise_the_dead(world, status):
    certificate = world.certificate()
    world.set_status(certificate, status)
    refused(world.api.post(path(certificate, "/renew?force=true")), 400)
    assert world.jobs_of(certificate) == []


def test_a_client_cannot_say_what_only_certctl_knows(world):
    for status in ("Revoked", "RenewalInProgress"):
        body = world.certificate_body(status=status)
        refused(world.api.post("/certificates", body), 400)
        certificate = world.certificate()
        refused(world.api.put(path(certificate), {"status": status}), 400)


@pytest.mark.parametrize("force", [
    {"path": "?force=true"}, {"path": "?force=1"},
    {"body": {"force": True}}])
def test_renew_again_needs_force(world, force):
    certificate = world.certificate()
    world.renew(certificate)
    refused(world.api.post(path(certificate, "/renew")), 409)
    refused(world.api.post(path(certificate, "/renew?force=false")), 409)
    ok(world.api.post(path(certificate, "/renew" + force.get("path", "")),
                      force.get("body")), 202)
    waiting = [j for j in world.jobs_of(certificate)
               if j["status"] == "AwaitingCSR"]
    assert len(waiting) == 1, "the same work was asked for twice"


def test_renew_takes_a_json_content_type_without_a_body(world):
    reply = world.api.post(path(world.certificate(), "/renew"), b"",
                           headers={"Content-Type": "application/json"})
    ok(reply, 202)


def test_deploy_makes_one_job_for_each_target(world):
    agent = world.agent()
    targets = [world.target(agent)["id"] for _ in range(2)]
    certificate = world.certificate(target_ids=targets)
    _, version = world.issue(agent, certificate)
    assert len(world.deployed(agent, certificate)) == 2
    assert ok(world.api.post(path(certificate, "/deploy"), {}), 202)[
        "status"] == "deployment_triggered"
    jobs = world.jobs_of(certificate, status="Pending")
    assert sorted(j["target_id"] for j in jobs) == sorted(targets)
    assert {j["type"] for j in jobs} == {"Deployment"}


def test_deploy_to_one_target_makes_one_job(world):
    agent = world.agent()
    targets = [world.target(agent)["id"] for _ in range(2)]
    certificate = world.certificate(target_ids=targets)
    world.issue(agent, certificate)
    world.deployed(agent, certificate)
    ok(world.api.post(path(certificate, "/deploy"),
                      {"target_id": targets[1]}), 202)
    jobs = world.jobs_of(certificate, status="Pending")
    assert [j["target_id"] for j in jobs] == [targets[1]]


def test_deploy_refuses_what_cannot_be_deployed(world):
    agent, target, certificate = world.site()
    reply = world.api.post(path(certificate, "/deploy"), {})
    assert reply.status in (400, 409), "there is nothing to deploy yet"
    world.issue(agent, certificate)
    stranger = world.target(agent)["id"]
    reply = world.api.post(path(certificate, "/deploy"),
                           {"target_id": stranger})
    assert reply.status in (400, 404), "the target is not mapped"
    ok(world.api.delete(path(certificate)), 204)
    reply = world.api.post(path(certificate, "/deploy"), {})
    assert reply.status in (400, 409), "the certificate is archived"
