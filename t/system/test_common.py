"""The rules every operation keeps: who is asked, how errors and lists look."""

import hashlib
import json
import re
import socket
import ssl

import pytest

from lib import (API, SECURITY_HEADERS, UUID4, World, listed, ok, query,
                 refused, unique, wait_for)

PUBLIC = ["/health", "/ready", API + "/auth/info", API + "/version"]

LISTS = ["/teams", "/owners", "/profiles", "/renewal-policies", "/issuers",
         "/targets", "/agents", "/agents/retired", "/certificates", "/jobs",
         "/audit"]

ROUTES = {
    "/teams": {"GET", "POST"}, "/owners": {"GET", "POST"},
    "/profiles": {"GET", "POST"}, "/renewal-policies": {"GET", "POST"},
    "/issuers": {"GET", "POST"}, "/targets": {"GET", "POST"},
    "/agents": {"GET", "POST"}, "/agents/retired": {"GET"},
    "/certificates": {"GET", "POST"}, "/jobs": {"GET"}, "/audit": {"GET"},
    "/teams/x": {"GET", "PUT", "DELETE"},
    "/owners/x": {"GET", "PUT", "DELETE"},
    "/profiles/x": {"GET", "PUT", "DELETE"},
    "/renewal-policies/x": {"GET", "PUT", "DELETE"},
    "/issuers/x": {"GET", "PUT", "DELETE"},
    "/targets/x": {"GET", "PUT", "DELETE"},
    "/agents/x": {"GET", "DELETE"},
    "/certificates/x": {"GET", "PUT", "DELETE"},
    "/certificates/x/versions": {"GET"},
    "/certificates/x/deployments": {"GET"},
    "/certificates/x/renew": {"POST"}, "/certificates/x/deploy": {"POST"},
    "/issuers/x/test": {"POST"}, "/targets/x/test": {"POST"},
    "/agents/x/heartbeat": {"POST"}, "/agents/x/work": {"GET"},
    "/agents/x/csr": {"POST"}, "/agents/x/certificates/y": {"GET"},
    "/agents/x/jobs/y/status": {"POST"},
    "/jobs/x": {"GET"}, "/jobs/x/cancel": {"POST"},
    "/jobs/x/verify": {"POST"}, "/jobs/x/verification": {"GET"},
    "/audit/x": {"GET"},
}


# ---- Health and version ----------------------------------------------

@pytest.mark.parametrize("path", PUBLIC)
def test_public_paths_need_no_key(anon, path):
    reply = anon.call("GET", path)
    assert ok(reply)
    assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", PUBLIC)
def test_public_paths_ignore_a_wrong_key(anon, path):
    ok(anon.with_key("wrong").call("GET", path))


@pytest.mark.parametrize("path", PUBLIC)
def test_public_paths_answer_options_with_405(anon, path):
    assert anon.call("OPTIONS", path).status == 405


def test_health_is_healthy(anon):
    assert ok(anon.call("GET", "/health")) == {"status": "healthy"}


def test_ready_says_that_the_database_is_reachable(anon):
    assert ok(anon.call("GET", "/ready")) == {
        "status": "ready", "db": "reachable"}


def test_version_has_all_its_members(anon):
    body = ok(anon.get("/version"))
    assert {"version", "commit", "modified", "build_time",
            "go_version"} <= set(body)
    assert isinstance(body["modified"], bool) and body["version"]


def test_auth_info_says_that_a_key_is_required(anon):
    body = ok(anon.get("/auth/info"))
    assert (body["auth_type"], body["required"]) == ("api-key", True)


def test_auth_check_names_the_key_and_says_whether_it_is_admin(api, operator):
    body = ok(api.get("/auth/check"))
    assert body["status"] == "authenticated" and body["admin"] is True
    assert body["user"]
    other = ok(operator.get("/auth/check"))
    assert other["admin"] is False and other["user"] != body["user"]


# ---- Authentication --------------------------------------------------

def test_a_missing_key_is_401_with_a_challenge(anon):
    reply = anon.get("/teams")
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == 'Bearer realm="certctl"'


@pytest.mark.parametrize("form", [
    "{}", "bearer {}", "BEARER {}", "Bearer  {}", "Bearer{}", "Basic {}",
    "Bearer {} x", "Bearer", "Bearer ", "Token {}", "Bearer {}x",
])
def test_anything_but_bearer_and_a_known_key_is_401(api, anon, form):
    header = form.format(api.key)
    reply = anon.get("/teams", headers={"Authorization": header})
    assert reply.status == 401
    assert set(reply.json) == {"error"}
    assert reply.headers["content-type"] == "application/json"


def test_identity_never_comes_from_other_headers(anon):
    reply = anon.get("/teams", headers={
        "X-Actor": "admin", "Remote-User": "admin", "X-Forwarded-User": "a",
        "SSL-Client-Verify": "SUCCESS", "SSL_CLIENT_VERIFY": "SUCCESS",
        "Certctl-Endpoint": "admin", "Proxy-Authorization": "Bearer x"})
    assert reply.status == 401


@pytest.mark.parametrize("path", [API + "/nothing-here", API, API + "/teams/"])
def test_authentication_precedes_routing(anon, path):
    assert anon.call("GET", path).status == 401
    assert anon.call("PATCH", path).status == 401


# ---- Routing ---------------------------------------------------------

@pytest.mark.parametrize("path", [
    "/nothing", "/teams/a/b", "/certificates/x/frobnicate", "/agents/x/y/z",
    "/Teams", ""])
def test_an_unknown_path_is_a_plain_404(api, path):
    reply = api.get(path)
    assert reply.status == 404
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text.strip() == "404 page not found"


@pytest.mark.parametrize("path", ROUTES)
def test_a_wrong_method_is_405_and_lists_the_right_ones(api, path):
    wrong = "PATCH"
    reply = api.call(wrong, API + path)
    assert reply.status == 405
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text.strip() == "Method Not Allowed"
    want = ROUTES[path] | ({"HEAD"} if "GET" in ROUTES[path] else set())
    if path == "/agents/retired":   # which reads as an agent's id, too
        want.add("DELETE")
    allowed = {m.strip() for m in reply.headers["allow"].split(",")}
    assert allowed - {"OPTIONS"} == want


def test_head_is_405_but_for_the_auth_calls(api):
    assert api.call("HEAD", API + "/teams").status == 405
    assert api.call("HEAD", API + "/auth/check").status == 200
    reply = api.call("HEAD", API + "/auth/info")
    assert (reply.status, reply.body) == (200, b"")


def test_a_trailing_slash_in_the_server_url_is_tolerated(api):
    ok(api.call("GET", "/" + API + "/auth/check"))


# ---- Errors ----------------------------------------------------------

def test_an_error_says_what_why_and_which_request(api):
    reply = api.get("/teams/no-such-team")
    assert refused(reply, 404)
    assert reply.json["error"] == "Not Found"
    assert UUID4.fullmatch(reply.json["request_id"])
    assert reply.json["request_id"] == reply.headers["x-request-id"]


def test_an_error_message_hides_the_database(api):
    body = {"name": "x", "team_id": "no-such-team"}
    message = refused(api.post("/owners", body), 400)
    for word in ("SQL", "constraint", "violates", "relation", "column"):
        assert word not in message


def test_unknown_members_are_ignored(api):
    body = {"name": unique("team"), "colour": "green", "nested": {"a": [1]}}
    assert "colour" not in ok(api.post("/teams", body), 201)


def test_null_is_the_same_as_absent(api):
    body = {"name": unique("team"), "description": None, "id": None}
    assert ok(api.post("/teams", body), 201)["description"] == ""


# ---- Headers and limits ----------------------------------------------

@pytest.mark.parametrize("path,key,status", [
    ("/teams", True, 200), ("/teams/none", True, 404), ("/nothing", True, 404),
    ("/teams", False, 401), ("/auth/info", False, 200)])
def test_every_reply_carries_the_security_headers(api, anon, path, key,
                                                  status):
    reply = (api if key else anon).get(path)
    assert reply.status == status
    for name, value in SECURITY_HEADERS.items():
        assert reply.headers.get(name) == value, name


def test_static_files_carry_the_security_headers_too(anon):
    reply = anon.call("GET", "/")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")
    for name, value in SECURITY_HEADERS.items():
        assert reply.headers.get(name) == value, name


def test_any_other_page_is_the_dashboard(anon):
    assert anon.call("GET", "/certificates/some-id").status == 200
    assert anon.call("GET", "/assets/no-such-file.js").status == 404


def test_request_ids_are_new_and_ours(api):
    ids = {api.get("/teams", headers={"X-Request-ID": "mine"})
           .headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5
    assert all(UUID4.fullmatch(i) for i in ids)


def test_json_replies_say_so(api):
    assert api.get("/teams").headers["content-type"] == "application/json"


def test_one_connection_serves_many_calls(api):
    kept = api.with_key(api.key)
    kept.keep = True
    try:
        for _ in range(20):
            ok(kept.get("/auth/check"))
            assert kept.get("/teams/none").status == 404
    finally:
        kept.close()


def test_a_body_over_the_limit_is_413(api, db):
    name = unique("team")
    reply = api.post("/teams", {"name": name, "description": "x" * (1 << 20)})
    assert reply.status == 413
    assert set(reply.json) - {"request_id"} == {"error", "message"}
    assert db(f"SELECT count(*) FROM teams WHERE name = '{name}'") == [["0"]]


def test_a_body_just_below_the_limit_is_read(api):
    pad = {"name": unique("team"), "padding": ""}
    pad["padding"] = "x" * ((1 << 20) - len(json.dumps(pad)))
    ok(api.post("/teams", pad), 201)


def test_a_body_without_a_length_is_read_or_a_length_is_asked_for(api):
    name = unique("team")
    body = [b'{"name":', json.dumps(name).encode(), b"}"]
    reply = api.call("POST", API + "/teams", iter(body), headers={
        "Content-Type": "application/json"}, encode_chunked=True)
    assert reply.status in (201, 411), reply
    if reply.status == 201:
        assert reply.json["name"] == name


def test_an_endless_body_without_a_length_is_refused(api):
    def body():
        for _ in range(40):
            yield b"x" * 65536
    reply = api.call("POST", API + "/teams", body(), headers={
        "Content-Type": "application/json"}, encode_chunked=True)
    assert reply.status in (411, 413), reply


def test_tls_1_2_is_not_spoken(api):
    old = ssl.create_default_context(cafile=api.ca)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((api.host, api.port), timeout=5) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(plain, server_hostname=api.host)


# ---- CORS ------------------------------------------------------------

def test_without_cors_origins_options_is_an_empty_204(anon):
    reply = anon.call("OPTIONS", API + "/teams", headers={
        "Origin": "https://app.example.org",
        "Access-Control-Request-Method": "POST"})
    assert (reply.status, reply.body) == (204, b"")
    assert not [h for h in reply.headers if h.startswith("access-control")]


def test_cors_allows_the_listed_origins_alone(stack, anon, api):
    listed_origin = "https://app.example.org"
    with stack.settings(CERTCTL_CORS_ORIGINS="https://a.example.org, "
                        + listed_origin):
        reply = anon.call("OPTIONS", API + "/teams", headers={
            "Origin": listed_origin})
        assert reply.status == 204
        assert reply.headers["access-control-allow-origin"] == listed_origin
        assert "origin" in reply.headers["vary"].lower()
        assert reply.headers["access-control-max-age"] == "86400"
        assert reply.headers["access-control-allow-methods"] == \
            "GET, POST, PUT, DELETE, PATCH, OPTIONS"
        assert reply.headers["access-control-allow-headers"] == \
            "Content-Type, Authorization, X-Request-ID"
        reply = api.get("/teams", headers={"Origin": listed_origin})
        assert reply.headers["access-control-allow-origin"] == listed_origin
        reply = api.get("/teams", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in reply.headers


# ---- Rate limit ------------------------------------------------------

def test_the_limit_counts_keys_and_addresses_apart(stack, api, operator,
                                                   anon):
    with stack.settings(CERTCTL_RATE_LIMIT_RPS="1",
                        CERTCTL_RATE_LIMIT_BURST="15",
                        CERTCTL_RATE_LIMIT_PER_USER_RPS="1",
                        CERTCTL_RATE_LIMIT_PER_USER_BURST="15"):
        replies = [operator.get("/auth/check") for _ in range(40)]
        limited = [r for r in replies if r.status == 429]
        assert replies[0].status == 200
        # 15 at once and one a second, whichever process answers.
        assert 20 <= len(limited) <= 25
        assert limited[0].json == {"error": "Rate limit exceeded"}
        assert limited[0].headers["retry-after"] == "1"
        for name, value in SECURITY_HEADERS.items():
            assert limited[0].headers.get(name) == value, name
        # Another key, and a caller without one, have budgets of their own.
        assert api.get("/auth/check").status == 200
        assert anon.get("/auth/info").status == 200
        wait_for(lambda: operator.get("/auth/check").status == 200, 5,
                 every=0.6, what="a token after a pause")


def test_guessing_keys_is_limited_by_address(stack, anon):
    with stack.settings(CERTCTL_RATE_LIMIT_RPS="1",
                        CERTCTL_RATE_LIMIT_BURST="15"):
        seen = [anon.with_key(f"guess-{n}").get("/teams").status
                for n in range(40)]
        assert seen[0] == 401 and 429 in seen
        assert set(seen) == {401, 429}


# ---- Lists -----------------------------------------------------------

@pytest.fixture(scope="module")
def filled(world):
    """At least three of everything that is listed."""
    for _ in range(3):
        world.team(), world.owner(), world.profile(), world.policy()
        world.issuer()
        agent, _, certificate = world.site()
        world.renew(certificate)
        retired = world.agent()
        ok(world.api.delete("/agents/" + retired.id))
    return world


@pytest.mark.parametrize("path", LISTS)
def test_every_list_honours_paging(api, filled, path):
    page = listed(api.get(path + query(page=1, per_page=2)))
    assert (page["page"], page["per_page"]) == (1, 2)
    assert len(page["data"]) == 2 and page["total"] >= 3
    second = listed(api.get(path + query(page=2, per_page=2)))
    assert second["data"]
    if path != "/audit":    # which grows with every call
        assert not {r["id"] for r in page["data"]} & \
            {r["id"] for r in second["data"]}


@pytest.mark.parametrize("path", LISTS)
def test_a_page_past_the_end_is_empty_with_the_true_total(api, filled, path):
    page = listed(api.get(path + query(page=100000, per_page=500)))
    assert page["data"] == [] and page["total"] >= 3


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("value", ["0", "-1", "501", "x", "", "1e9",
                                   "99999999999999999999"])
def test_per_page_out_of_range_falls_back_to_50(api, path, value):
    assert listed(api.get(path + query(per_page=value)))["per_page"] == 50


@pytest.mark.parametrize("value", ["0", "-3", "x", "", "1.5"])
def test_a_bad_page_number_is_the_first(api, value):
    assert listed(api.get("/teams" + query(page=value)))["page"] == 1


@pytest.mark.parametrize("path,key,falling", [
    ("/teams", "created_at", True), ("/owners", "created_at", True),
    ("/profiles", "created_at", True), ("/issuers", "created_at", True),
    ("/targets", "created_at", True), ("/jobs", "created_at", True),
    ("/certificates", "created_at", False),
    ("/renewal-policies", "name", False),
    ("/agents", "registered_at", True),
    ("/agents/retired", "retired_at", True),
    ("/audit", "timestamp", True)])
def test_each_list_has_its_order(api, filled, path, key, falling):
    rows = listed(api.get(path + query(per_page=500)))["data"]
    keys = [r[key] for r in rows]
    assert keys == sorted(keys, reverse=falling)


TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.mark.parametrize("path", LISTS)
def test_times_are_utc_and_nothing_is_null(api, filled, path):
    for row in listed(api.get(path + query(per_page=20)))["data"]:
        for name, value in row.items():
            assert value is not None or name == "details", name
            if name.endswith("_at") or name == "timestamp":
                assert TIMES.fullmatch(value), (name, value)


# ---- The audit of each call ------------------------------------------

def calls(api, path, action):
    return [r for r in listed(api.get("/audit" + query(
        action=action, resource_id=path, per_page=100)))["data"]]


def test_every_authenticated_call_is_recorded(api, operator):
    path = f"{API}/teams/{unique('nobody')}"
    operator.call("GET", path + "?secret=value")
    row, = wait_for(lambda: calls(api, path, "api_get"))
    user = ok(operator.get("/auth/check"))["user"]
    assert (row["actor"], row["actor_type"]) == (user, "User")
    assert row["resource_type"] == "api"
    details = row["details"]
    assert details["status"] == 404 and details["method"] == "GET"
    assert details["path"] == path and details["body_hash"] == ""
    assert 0 <= details["latency_ms"] < 60000


def test_the_record_of_a_call_holds_the_hash_of_its_body(api):
    body = json.dumps({"name": unique("team")}).encode()
    path = f"{API}/teams/{unique('nobody')}"
    api.call("PUT", path, body)
    row, = wait_for(lambda: calls(api, path, "api_put"))
    assert row["details"]["body_hash"] == hashlib.sha256(body).hexdigest()


def test_refusals_are_recorded_too(api, operator):
    path = f"{API}/issuers/{unique('nobody')}"
    assert operator.call("DELETE", path).status == 403
    row, = wait_for(lambda: calls(api, path, "api_delete"))
    assert row["details"]["status"] == 403


def test_failed_logins_options_and_public_paths_are_not_recorded(api, anon):
    path = f"{API}/teams/{unique('nobody')}"
    anon.call("GET", path)
    anon.call("OPTIONS", path)
    anon.call("GET", API + "/version")
    api.call("GET", path + "-known")
    wait_for(lambda: calls(api, path + "-known", "api_get"))
    assert calls(api, path, "api_get") == []
    assert calls(api, path, "api_options") == []
    assert calls(api, API + "/version", "api_get") == []


# ---- Permissions -----------------------------------------------------

@pytest.mark.parametrize("method,path", [
    ("DELETE", "/issuers/x"), ("DELETE", "/profiles/x"),
    ("DELETE", "/agents/x"), ("POST", "/agents/x/heartbeat"),
    ("GET", "/agents/x/work"), ("POST", "/agents/x/csr"),
    ("POST", "/agents/x/jobs/y/status")])
def test_what_is_reserved_is_403_without_admin(operator, method, path):
    reply = operator.call(method, API + path, {} if method == "POST" else
                          None)
    assert reply.status == 403
    assert reply.json == {"error": "Insufficient permissions"}
    assert reply.headers["content-type"] == "application/json"


def test_the_rest_is_open_to_any_operator(operator, world):
    mine = World(operator, world.stack)
    certificate = mine.certificate()
    mine.profile(), mine.policy(), mine.issuer()
    for path in LISTS:
        listed(operator.get(path))
    job = mine.renew(certificate)["job_id"]
    ok(operator.post(f"/jobs/{job}/cancel"))
    ok(operator.put("/certificates/" + certificate["id"],
                    {"environment": "staging"}))
    ok(operator.delete("/certificates/" + certificate["id"]), 204)
