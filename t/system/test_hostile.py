"""Hostile input gets the right refusal and a reason, and changes nothing."""

import json

import pytest

from lib import (API, der_of, make_csr, ok, pem, query, refused, resigned,
                 split_chain, unique, wait_for, x509)

TABLES = ["teams", "owners", "certificate_profiles", "renewal_policies",
          "issuers", "deployment_targets"]


@pytest.fixture
def unchanged(db):
    """Fails a test that leaves the inventory other than it was."""
    def state():
        # Agents and jobs change by themselves, but not in number or at all.
        return db(" UNION ALL ".join(
            f"SELECT '{t}', count(*), max(xmin::text::bigint) FROM {t}"
            for t in TABLES) + "".join(
            f" UNION ALL SELECT '{t}', count(*), 0 FROM {t}"
            for t in ("agents", "managed_certificates")))
    before = state()
    yield
    assert state() == before


BAD_JSON = {
    "nothing": b"",
    "blank": b"  ",
    "truncated": b'{"name":"ev',
    "truncated object": b'{"name":"evil"',
    "trailing text": b'{"name":"evil"} x',
    "two documents": b'{"name":"evil"}{"name":"evil"}',
    "a number": b"17",
    "an array": b'[{"name":"evil"}]',
    "a string": b'"evil"',
    "null": b"null",
    "single quotes": b"{'name':'evil'}",
    "no quotes": b"{name:\"evil\"}",
    "a comment": b'{"name":"evil"/* */}',
    "a trailing comma": b'{"name":"evil",}',
    "NaN": b'{"name":"evil","x":NaN}',
    "duplicate": b'{"name":"good","name":"evil"}',
    "escaped duplicate": b'{"name":"good","\\u006eame":"evil"}',
    "nested duplicate": b'{"name":"evil","x":{"a":1,"a":2}}',
    "deep arrays": b'{"name":"evil","x":' + b"[" * 40 + b"]" * 40 + b"}",
    "deep objects": b'{"name":"evil","x":' + b'{"a":' * 40 + b"1"
                    + b"}" * 41,
    "very deep": b"[" * 100000,
    "bad UTF-8": b'{"name":"evil\xff"}',
    "overlong UTF-8": b'{"name":"evil\xc0\xaf"}',
    "a surrogate": b'{"name":"evil\xed\xa0\x80"}',
    "half a surrogate pair": b'{"name":"evil\\ud800"}',
    "UTF-16": '{"name":"evil"}'.encode("utf-16"),
    "NUL": b'{"name":"evil\\u0000"}',
    "a raw NUL": b'{"name":"evil\x00"}',
    "NUL in a key": b'{"name\\u0000":"evil"}',
    "a raw control character": b'{"name":"evil\x01"}',
    "wrong type": b'{"name":["evil"]}',
    "wrong type in object": b'{"name":{"a":"evil"}}',
    "a huge number": b'{"name":' + b"9" * 5000 + b"}",
    "form data": b"name=evil",
    "XML": b"<name>evil</name>",
}


@pytest.mark.parametrize("case", BAD_JSON)
@pytest.mark.parametrize("path", ["/teams", "/profiles", "/certificates",
                                  "/agents"])
def test_bad_json_is_400_with_a_reason(api, unchanged, path, case):
    reply = api.post(path, BAD_JSON[case], headers={
        "Content-Type": "application/json"})
    assert "evil" not in refused(reply, 400)


@pytest.mark.parametrize("case", [c for c in BAD_JSON if c not in (
    "nothing", "blank", "null")])
def test_bad_json_does_not_update_either(api, world, case):
    team = world.team()
    reply = api.put("/teams/" + team["id"], BAD_JSON[case])
    refused(reply, 400)
    assert ok(api.get("/teams/" + team["id"])) == team


def test_depth_is_bounded_at_32(api):
    def body(depth):
        return (f'{{"name":{json.dumps(unique("team"))},"x":'
                + "[" * depth + "]" * depth + "}").encode()
    assert api.post("/teams", body(28)).status == 201
    refused(api.post("/teams", body(33)), 400)


def test_control_characters_in_a_name_are_refused(api, unchanged):
    for bad in ("a\nb", "a\tb\r", "\u0007", "\u202eevil"):
        refused(api.post("/teams", {"name": bad}), 400)


# ---- Identifiers and paths -------------------------------------------

EVIL_IDS = ["../../evil", "..", ".", "a/b", "a b", "a\\b", "a%2fb", "a\nb",
            "a;b", "a'b", "a\"b", "a?b", "a#b", "x" * 300, "\u00e4", "-rf/",
            "a*b", "$(id)", "a\u0000b"]


@pytest.mark.parametrize("evil", EVIL_IDS)
@pytest.mark.parametrize("kind", ["teams", "certificates", "issuers",
                                  "profiles", "owners"])
def test_an_id_that_is_no_name_is_refused(api, world, unchanged, kind, evil):
    body = {"certificates": world.certificate_body(),
            "issuers": {"type": "local", "config": {}}}.get(kind, {})
    body.update(id=evil, name=body.get("name") or unique("evil"))
    refused(api.post("/" + kind, body), 400)


def test_targets_have_safe_ids_too(api, world):
    agent = world.agent()
    for evil in EVIL_IDS:
        refused(api.post("/targets", {
            "id": evil, "name": unique("target"), "type": "NGINX",
            "agent_id": agent.id, "config": {
                "cert_path": "/a", "validate_command": "true",
                "reload_command": "true"}}), 400)


@pytest.mark.parametrize("path", [
    "/teams/../issuers/iss-local", "/teams/%2e%2e/issuers/iss-local",
    "/teams/..%2fissuers", "/certificates/..%2f..%2fetc%2fpasswd",
    "/certificates/%00", "/certificates/a%00b", "/certificates/%ff%fe",
    "/certificates/%", "/certificates/%zz", "/certificates/%0a",
    "/certificates/" + "a" * 3000, "/certificates/..;/x",
    "/certificates/%252e%252e", "/audit/1%20OR%201=1",
    "/teams/x'%20OR%20'1'='1", "/jobs/%f0%9f%92%a9",
    "/teams/;/iss", "/teams/%5c..%5c"])
def test_a_path_that_climbs_finds_nothing(api, path):
    reply = api.get(path)
    assert reply.status in (400, 404), reply
    assert b"iss-local" not in reply.body and b"root:" not in reply.body


@pytest.mark.parametrize("path", ["/../etc/passwd", "/%2e%2e/etc/passwd",
                                  "/assets/../../etc/passwd",
                                  "/assets/..%2f..%2fetc/passwd",
                                  "/errors/503.json"])
def test_static_paths_do_not_climb(anon, path):
    reply = anon.call("GET", path)
    assert b"root:" not in reply.body
    assert reply.status in (200, 400, 403, 404)


@pytest.mark.parametrize("name", ["status", "owner_id", "sort", "fields",
                                  "cursor", "page", "per_page",
                                  "expires_before", "sort_desc"])
@pytest.mark.parametrize("value", ["'; DROP TABLE jobs; --", "\x00", "\xff",
                                   "%", "a" * 2000, "\n", "$1", "{}"])
def test_a_hostile_query_is_harmless(api, unchanged, name, value):
    reply = api.get("/certificates" + query(**{name: value}))
    assert reply.status in (200, 400), reply


@pytest.mark.parametrize("text", ["?%", "?%zz=1", "?status=%ff", "?=&&=",
                                  "?a=1&a=2", "?" + "a=1&" * 1500,
                                  "?status=%00", "?page=1;page=2"])
def test_a_malformed_query_string_is_harmless(api, text):
    assert api.get("/certificates" + text).status in (200, 400, 414)


# ---- HTTP ------------------------------------------------------------

@pytest.mark.parametrize("data", [
    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/v1/teams HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 100000
    + b"\r\n\r\n"])
def test_an_oversized_line_or_header_is_refused(anon, data):
    try:
        answer = anon.raw(data, timeout=10)
    except OSError:     # refused before all of it was sent
        answer = b""
    assert not answer or answer.split()[1] in (b"400", b"413", b"414",
                                               b"431", b"494")
    assert anon.call("GET", "/health").status == 200


@pytest.mark.parametrize("data", [
    b"GET / HTTP/9.9\r\n\r\n", b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n",
    b"POST /api/v1/teams HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/v1/teams HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/v1/teams HTTP/1.1\r\nHost: x\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"])
def test_what_is_not_http_is_refused(anon, data):
    answer = anon.raw(data.replace(b"\r\n\r\n", b"\r\nConnection: close"
                                   b"\r\n\r\n", 1), timeout=10)
    assert b" 200 " not in answer.split(b"\r\n", 1)[0]
    assert anon.call("GET", "/health").status == 200


def test_a_body_cut_short_leaves_nothing(anon, api, db):
    name = unique("cut")
    body = json.dumps({"name": name}).encode()
    anon.raw(b"POST /api/v1/teams HTTP/1.1\r\nHost: localhost\r\n"
             b"Authorization: Bearer " + api.key.encode() + b"\r\n"
             b"Content-Type: application/json\r\nConnection: close\r\n"
             b"Content-Length: %d\r\n\r\n" % (len(body) + 10) + body,
             timeout=2)
    assert db(f"SELECT 1 FROM teams WHERE name = '{name}'") == []


# ---- CSRs ------------------------------------------------------------

def flipped(csr):
    der = bytearray(der_of(csr))
    der[-5] ^= 1
    return pem("CERTIFICATE REQUEST", bytes(der))


def bad_csrs(certificate):
    name = certificate["common_name"]
    key, good = make_csr(name, [name])
    raw = name.encode()
    nul = raw[:3] + b"\0" + raw[4:]
    return {
        "empty": "", "no PEM": "hello", "only a header":
        "-----BEGIN CERTIFICATE REQUEST-----\n",
        "another PEM": good.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
        "text before": "x" + good,
        "garbage inside": pem("CERTIFICATE REQUEST", b"\x30\x82garbage"),
        "truncated": pem("CERTIFICATE REQUEST", der_of(good)[:-20]),
        "trailing octets": pem("CERTIFICATE REQUEST", der_of(good) + b"xx"),
        "wrong signature": flipped(good),
        "RSA 1024": make_csr(name, [name], "RSA-1024")[1],
        "P-192": make_csr(name, [name], "P-192")[1],
        "MD5": make_csr(name, [name], "RSA-2048", extra=["-md5"])[1],
        "SHA-1": make_csr(name, [name], "RSA-2048", extra=["-sha1"])[1],
        "NUL in its names": resigned(good, key, raw, nul),
        "another name, an old signature": pem(
            "CERTIFICATE REQUEST", der_of(good).replace(raw, b"e" + raw[1:])),
        "a stranger's name": make_csr("evil.example.com",
                                      ["evil.example.com"])[1],
        "one name too many": make_csr(name, [name, "evil.example.com"])[1],
        "a stranger's subject": make_csr("evil.example.com", [name])[1],
        "an address nobody ordered": make_csr(name, [
            "DNS:" + name, "IP:10.0.0.1"])[1],
        "a wildcard nobody ordered": make_csr(name, [
            name, "*.example.org"])[1],
        "huge": "-----BEGIN CERTIFICATE REQUEST-----\n" + "A" * 300000
        + "\n-----END CERTIFICATE REQUEST-----\n",
        "not text": 17, "null": None,
    }


def test_bad_csrs_are_400_and_the_job_waits_on(world):
    agent, _, certificate = world.site()
    job = world.renew(certificate)["job_id"]
    for case, csr in bad_csrs(certificate).items():
        reply = agent.client.post(agent.path + "/csr", {
            "csr_pem": csr, "certificate_id": certificate["id"]})
        assert reply.status == 400, (case, reply)
        assert refused(reply, 400), case
        assert world.job_now(job)["status"] == "AwaitingCSR", case
    assert world.versions(certificate) == []
    # And the good one still counts.
    _, version = world.answer(agent, certificate)
    assert version["certificate_id"] == certificate["id"]


def test_a_csr_that_asks_to_be_a_ca_never_becomes_one(world):
    agent, _, certificate = world.site()
    world.renew(certificate)
    name = certificate["common_name"]
    _, csr = make_csr(name, [name], extra=[
        "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign"])
    reply = agent.submit(csr, certificate["id"])
    if reply.status == 400:
        return
    ok(reply, 202)
    version, = wait_for(lambda: world.versions(certificate))
    text = x509(split_chain(version["pem_chain"])[0], "-text")
    assert "CA:TRUE" not in text and "Certificate Sign" not in text


@pytest.mark.parametrize("profile,key,sans,why", [
    ({"allowed_key_algorithms": [{"algorithm": "RSA", "min_size": 3072}]},
     "RSA-2048", [], "RSA"),
    ({"allowed_key_algorithms": [{"algorithm": "RSA", "min_size": 2048}]},
     "P-256", [], "ECDSA"),
    ({"allowed_key_algorithms": [{"algorithm": "ECDSA", "min_size": 384}]},
     "P-256", [], "256"),
    ({"required_san_patterns": [r".*\.internal\.example"]}, "P-256", [],
     "")])
def test_a_csr_outside_its_profile_is_refused(world, profile, key, sans, why):
    made = world.profile(**profile)
    agent, _, certificate = world.site(certificate_profile_id=made["id"])
    job = world.renew(certificate)["job_id"]
    _, csr = make_csr(certificate["common_name"], certificate["sans"], key)
    message = refused(agent.submit(csr, certificate["id"]), 400)
    assert why in message
    assert world.job_now(job)["status"] == "AwaitingCSR"


@pytest.mark.parametrize("id", ["../../evil", "a/b", "x" * 300, "", "\u0000",
                                "\u202e", 7, ["a"]])
def test_a_csr_for_a_hostile_id_is_refused(world, id):
    agent = world.agent()
    reply = agent.submit(make_csr("a.example.org")[1], id)
    # No id at all is a CSR that is only noted.
    assert reply.status in (400, 404) or (id == "" and reply.status == 202), \
        reply


def test_a_hostile_path_for_an_agent_is_refused(world):
    agent = world.agent()
    for path in ("/certificates/..%2f..%2fevil", "/certificates/%00",
                 "/jobs/..%2fx/status"):
        method = "POST" if "jobs" in path else "GET"
        reply = agent.client.call(method, API + agent.path + path,
                                  {"status": "Running"}
                                  if method == "POST" else None)
        assert reply.status in (400, 403, 404), reply
