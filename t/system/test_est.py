"""EST (RFC 7030), asked by curl; test_est_commands.py has other clients."""

import base64
import contextlib
import email
import json
import os
import shutil
import socket
import subprocess
import tempfile

import pytest

from est import PKCS10, Est, request
from lib import (_element, _tlv, listed, ok, openssl, query, refused, unique,
                 wait_for)
from pki import element


@pytest.fixture(scope="module")
def est(stack):
    stack.start("est")
    return Est(stack, stack.est, "est:" + stack.env["CERTCTL_EST_PASSWORD"])


@pytest.fixture(scope="module")
def ca(est):
    return "".join(est.call("cacerts").certs)


@pytest.fixture()
def unlimited(stack):
    """Nobody has shown a wrong password yet."""
    yield
    forget_failures(stack)


def forget_failures(stack):
    """As an hour would."""
    for path in (stack.dir / "run" / "certctl").glob("certctl.shared.*"):
        path.unlink()
    stack.restart("api", "est")


def enrolled(est, name=None, **kw):
    """(certificate, key) that EST was so kind to hand out."""
    key, der = request(name, **kw)
    return est.enroll(der).cert, key


def record_of(api, name):
    return [c for c in listed(api.get("/certificates" + query(
        per_page=500, sort="-created_at")))["data"]
        if c["common_name"] == name]


def said(db, action, name):
    """Details of the audit events ACTION about NAME."""
    return [json.loads(row[0]) for row in db(
        "SELECT details FROM audit_events WHERE action = "
        f"'{action}' AND details->>'common_name' = '{name}' ORDER BY seq")]


# ---- What is handed out -------------------------------------------------

def test_cacerts_is_a_degenerate_pkcs7_in_one_line(est):
    reply = est.login(None).call("cacerts")
    assert len(reply.certs) == 1
    text = openssl("asn1parse", "-inform", "DER",
                   stdin=base64.b64decode(reply.body)).decode()
    assert "pkcs7-signedData" in text and "pkcs7-data" in text
    assert reply.headers["content-length"] == str(len(reply.body))


def test_the_head_of_a_reply_is_short(est):
    for op in ("cacerts", "csrattrs"):
        est.call(op, options=["--http1.1"])
        assert len(est.head) < 900
    est.post("simpleenroll", request()[1], options=["--http1.1"])
    assert len(est.head) < 900


def test_csrattrs_asks_for_extensions_and_keys(est):
    reply = est.login(None).call("csrattrs")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/csrattrs"
    text = openssl("asn1parse", "-inform", "DER", "-i",
                   stdin=base64.b64decode(reply.body)).decode()
    for what in ("id-ecPublicKey", "prime256v1", "rsaEncryption",
                 "Extension Request", "X509v3 Extended Key Usage"):
        assert what in text, text


def test_a_profile_without_rules_asks_for_nothing(stack, est):
    reply = est.at(stack.url + "/.well-known/est").call("csrattrs")
    assert (reply.status, reply.body) == (204, b"")


def test_csrattrs_has_the_template_if_asked_to(stack, est):
    with stack.settings("est", CERTCTL_EST_PROFILE_DEMO_CSRATTRS_TEMPLATE=
                        "true"):
        der = base64.b64decode(est.call("csrattrs").body)
    text = openssl("asn1parse", "-inform", "DER", "-i", stdin=der).decode()
    # certificationRequestInfoTemplate and, in it, extensionReqTemplate.
    for oid in ("2a864886f70d010910023d", "2a864886f70d010910023e"):
        assert bytes.fromhex("060b" + oid) in der
    assert "Extension Request" in text


@pytest.mark.parametrize("op, method, allow", [
    ("cacerts", "POST", "GET"), ("csrattrs", "PUT", "GET"),
    ("simpleenroll", "GET", "POST"), ("serverkeygen", "DELETE", "POST"),
])
def test_a_wrong_method_is_told_the_right_one(est, op, method, allow):
    reply = est.call(op, method=method)
    assert reply.status == 405
    assert allow in reply.headers["allow"]


@pytest.mark.parametrize("path", [
    "nobody/cacerts", "demo/fullcmc", "demo", "demo/cacerts/more"])
def test_what_is_not_there_is_404(stack, est, path):
    for url in (stack.url, stack.est.split("/.well-known")[0]):
        reply = est.at(url + "/.well-known/est").call(path)
        assert reply.status == 404, reply


def test_a_profile_is_reached_by_each_of_its_paths(stack, est):
    for base in (stack.est, stack.url + "/.well-known/est/demo",
                 stack.url + "/demo/.well-known/est",
                 stack.url + "/.well-known/est"):
        assert est.at(base).enroll(request()[1]).status == 200


# ---- Enrolment ----------------------------------------------------------

@pytest.mark.parametrize("key", ["P-256", "P-384", "RSA-2048"])
def test_an_enrolled_certificate_is_right(est, ca, key):
    name = unique("dev")
    cert, _ = enrolled(est, name, key=key)
    with tempfile.TemporaryDirectory() as d:
        for file, text in (("ca", ca), ("cert", cert)):
            with open(f"{d}/{file}", "w") as f:
                f.write(text)
        openssl("verify", "-x509_strict", "-purpose", "sslclient",
                "-verify_hostname", name + ".test", "-CAfile", d + "/ca",
                d + "/cert")


def test_gnutls_accepts_it_too(est, ca):
    if not shutil.which("certtool"):
        pytest.skip("gnutls-bin is not installed")
    cert, _ = enrolled(est)
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(ca)
        f.flush()
        done = subprocess.run(
            ["certtool", "--verify", "--verify-profile=medium",
             "--load-ca-certificate", f.name], input=cert,
            capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_in_the_inventory_like_any_other(est, api, db):
    name = unique("dev")
    cert, _ = enrolled(est, name)
    record, = record_of(api, name)
    assert record["source"] == "EST" and record["status"] == "Active"
    assert record["issuer_id"] == "iss-local"
    assert record["certificate_profile_id"] == "prof-est"
    assert record["owner_id"] == "o-est" and record["team_id"] == "t-est"
    assert record["sans"] == [name + ".test"]
    assert record["tags"] == {"est_profile": "demo"}
    version, = listed(api.get(
        f"/certificates/{record['id']}/versions"))["data"]
    assert version["pem_chain"].startswith(cert)
    done, = said(db, "est_simple_enroll_success", name)
    assert done["serial"] == version["serial_number"]
    assert done["protocol"] == "EST" and done["profile_id"] == "prof-est"
    assert len(said(db, "est_simple_enroll", name)) == 1
    actor = db("SELECT DISTINCT actor, actor_type FROM audit_events WHERE "
               f"details->>'common_name' = '{name}'")
    assert actor == [["est-client", "System"]]


def test_enrolling_again_adds_a_version(est, api):
    name = unique("dev")
    for _ in range(2):
        enrolled(est, name)
    record, = record_of(api, name)
    assert len(listed(api.get(
        f"/certificates/{record['id']}/versions"))["data"]) == 2


def test_two_profiles_keep_two_records(stack, est, api):
    name = unique("dev")
    enrolled(est, name)
    enrolled(est.at(stack.url + "/.well-known/est"), name)
    assert len(record_of(api, name)) == 2


def test_other_subjects_are_other_records(est, api):
    name = unique("dev")
    enrolled(est, name)
    enrolled(est, name, subject=f"/O=Other/CN={name}")
    assert len(record_of(api, name)) == 2


def test_a_request_needs_no_common_name(est, api):
    name = unique("dev") + ".test"
    key, der = request("", [name], subject="/")
    cert = est.enroll(der).cert
    assert name in openssl("x509", "-noout", "-ext", "subjectAltName",
                           stdin=cert.encode()).decode()
    assert len(record_of(api, name)) == 1


@pytest.mark.parametrize("form", ["wrapped", "crlf", "pem", "new", "der"])
def test_every_form_of_a_request_is_read(est, form):
    _, der = request()
    wrapped = base64.encodebytes(der)
    body = {
        "wrapped": wrapped,
        "crlf": wrapped.replace(b"\n", b"\r\n") + b"\t \r\n",
        "pem": b"-----BEGIN CERTIFICATE REQUEST-----\n" + wrapped +
               b"-----END CERTIFICATE REQUEST-----\n",
        "new": b"-----BEGIN NEW CERTIFICATE REQUEST-----\r\n" + wrapped +
               b"-----END NEW CERTIFICATE REQUEST-----\r\n",
        "der": der,
    }[form]
    reply = est.call("simpleenroll", body,
                     ["Content-Type: " + PKCS10,
                      "Content-Transfer-Encoding: base64"])
    assert reply.status == 200, reply


def test_records_are_not_renewed_by_us(est, api, db):
    name = unique("dev")
    enrolled(est, name)
    record, = record_of(api, name)
    db("UPDATE managed_certificates SET expires_at = now() + interval '1 day',"
       f" issued_at = now() - interval '89 days' WHERE id = '{record['id']}'")
    # What the renewal check does to it, without waiting an hour for it.
    reply = api.post(f"/certificates/{record['id']}/renew")
    assert refused(reply, 409)
    assert not listed(api.get("/jobs" + query(
        certificate_id=record["id"])))["data"]


# ---- Who may -------------------------------------------------------------

def test_without_a_password_one_is_asked_for(est, unlimited):
    _, der = request()
    for _ in range(12):
        reply = est.login(None).enroll(der)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == \
            'Basic realm="est-enrollment"'
        assert reply.headers["content-type"].startswith("text/plain")
    assert est.enroll(der).status == 200


def test_ten_wrong_passwords_an_hour_close_the_door(est, db, unlimited):
    forget_failures(est.stack)
    _, der = request()
    for _ in range(11):
        assert est.enroll(request()[1]).status == 200
    for _ in range(10):
        reply = est.login("est:wrong").enroll(der)
        assert reply.status == 401
    reply = est.login("est:wrong").enroll(der)
    assert reply.status == 429
    assert 0 < int(reply.headers["retry-after"]) <= 360
    assert est.enroll(der).status == 429, "a guess that is right shows"
    assert db("SELECT count(*) FROM audit_events WHERE action IN "
              "('est_rate_limited', 'est_auth_failed_basic')") != [["0"]]


@pytest.mark.parametrize("header", [
    "Authorization: Basic !!!", "Authorization: Basic OnNlY3JldA==",
    "Authorization: Bearer x", "Authorization: Basic"])
def test_a_malformed_password_is_a_wrong_one(est, header, unlimited):
    reply = est.login(None).call(
        "simpleenroll", base64.b64encode(request()[1]), [header])
    assert reply.status == 401


def test_json_is_sent_to_who_asks_for_it(est, unlimited):
    reply = est.login("est:wrong").call(
        "simpleenroll", b"", ["Accept: application/json"])
    assert reply.status == 401
    assert json.loads(reply.body)["message"]


def mtls(est):
    return est.login(None).at(
        est.base.replace("/.well-known/est/", "/.well-known/est-mtls/"))


@pytest.mark.parametrize("op", ["cacerts", "csrattrs", "simpleenroll",
                                "simplereenroll", "serverkeygen"])
def test_below_est_mtls_everything_needs_a_certificate(est, op, unlimited):
    cert = enrolled(est)
    body = None if op in ("cacerts", "csrattrs") else \
        base64.b64encode(request()[1])
    reply = mtls(est).call(op, body)
    assert reply.status == 401 and "www-authenticate" not in reply.headers
    assert mtls(est).login(est.user).call(op, body).status == 401
    if body is None:
        assert mtls(est).show(cert).call(op).status == 200


def test_a_client_renews_with_its_certificate(est, api):
    name = unique("dev")
    first = enrolled(est, name)
    serials = {first[0]}
    for door in (mtls(est), est.login(None), mtls(est).at(
            est.stack.url + "/.well-known/est-mtls/demo")):
        _, der = request(name, key="P-384")
        serials.add(door.show(first).enroll(der, "simplereenroll").cert)
    assert len(serials) == 4
    record, = record_of(api, name)
    assert len(listed(api.get(
        f"/certificates/{record['id']}/versions"))["data"]) == 4


@pytest.mark.parametrize("change", ["name", "sans", "fewer", "subject"])
def test_a_renewal_changes_no_name(est, change):
    name = unique("dev")
    sans = [name + ".test", name + ".two.test"]
    cert = enrolled(est, name, sans=sans)
    _, der = {
        "name": lambda: request(name + "x", sans),
        "sans": lambda: request(name, sans + ["www.example.org"]),
        "fewer": lambda: request(name, sans[:1]),
        "subject": lambda: request(name, sans,
                                   subject=f"/O=Evil/CN={name}"),
    }[change]()
    for op in ("simplereenroll", "simpleenroll"):
        reply = mtls(est).show(cert).enroll(der, op)
        assert reply.status == 400, reply
        assert reply.headers["content-type"].startswith("text/plain")
    assert mtls(est).show(cert).enroll(
        request(name, list(reversed(sans)))[1], "simplereenroll").status == 200


def test_a_request_for_another_name_is_refused(est):
    """RFC 6402's ChangeSubjectName: not ignored, but said so."""
    name = unique("dev")
    cert = enrolled(est, name)
    # changeSubjectName { subject other }, signed as it must be.
    key, der = request(name)
    info = list(_parts(next(_parts(der))))
    other = _element(0x30, _element(0x31, _element(
        0x30, b"\x06\x03\x55\x04\x03" + _element(0x0c, b"other"))))
    attributes = sorted([*_parts(info[3]), _element(
        0x30, bytes.fromhex("06082b06010505070724")
        + _element(0x31, _element(0x30, other)))])
    info = element(0x30, *info[:3], element(0xa0, *attributes))
    reply = mtls(est).show(cert).enroll(signed(key, der, info),
                                        "simplereenroll")
    assert reply.status == 400 and "ChangeSubjectName" in reply.text


def test_an_expired_client_certificate_gets_nowhere(stack, est, factory):
    issue = factory["issue"]
    door = est.login(None).at(factory["base"])
    _, der = request()
    assert door.show(issue("fresh")).enroll(der).status == 200
    for op in ("simpleenroll", "simplereenroll"):
        with contextlib.suppress(AssertionError):  # of a failed handshake
            assert door.show(issue("late", days="-1")).enroll(
                der, op).status in (400, 401)
            continue
        assert stack.web == "apache"


def test_a_renewal_by_password_is_of_what_is_there(est):
    name = unique("dev")
    assert est.enroll(request(name)[1], "simplereenroll").status == 400
    enrolled(est, name)
    assert est.enroll(request(name)[1], "simplereenroll").status == 200
    assert est.enroll(request(name, ["other.test"])[1],
                      "simplereenroll").status == 400


def test_a_revoked_client_certificate_is_not_accepted(est, api):
    name = unique("dev")
    cert = enrolled(est, name)
    record, = record_of(api, name)
    ok(api.post(f"/certificates/{record['id']}/revoke",
                {"reason": "keyCompromise"}))
    _, der = request(name)
    assert mtls(est).show(cert).enroll(der, "simplereenroll").status == 401
    assert mtls(est).show(cert).call("cacerts").status == 401
    assert est.enroll(der, "simplereenroll").status == 400
    # The name may start anew, under a record of its own.
    assert est.enroll(der).status == 200
    assert sorted(r["status"] for r in record_of(api, name)) == \
        ["Active", "Revoked"]


def test_on_hold_nothing_is_enrolled(est, api):
    name = unique("dev")
    cert = enrolled(est, name)
    record, = record_of(api, name)
    path = f"/certificates/{record['id']}/revoke"
    ok(api.post(path, {"reason": "certificateHold"}))
    _, der = request(name)
    assert mtls(est).show(cert).enroll(der, "simplereenroll").status == 401
    assert est.enroll(der).status == 403
    ok(api.post(path, {"reason": "removeFromCRL"}))
    assert mtls(est).show(cert).enroll(der, "simplereenroll").status == 200


def own_ca(name, *extra):
    """(CA certificate, key, and a function that issues below it)."""
    d = tempfile.mkdtemp()
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
            "-days", "30", "-keyout", d + "/ca.key", "-out", d + "/ca.crt",
            "-addext", "basicConstraints=critical,CA:TRUE", *extra)

    def issue(cn, ca=False, days="5"):
        extra = ["basicConstraints=critical,CA:TRUE"] if ca else \
            ["basicConstraints=critical,CA:FALSE"]
        with open(d + "/ext", "w") as f:
            f.write("\n".join(extra))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + cn,
                "-keyout", f"{d}/{cn}.key", "-out", f"{d}/{cn}.csr")
        openssl("x509", "-req", "-in", f"{d}/{cn}.csr", "-CA", d + "/ca.crt",
                "-CAkey", d + "/ca.key", "-days", days, "-out",
                f"{d}/{cn}.crt", "-extfile", d + "/ext")
        return (open(f"{d}/{cn}.crt").read(), open(f"{d}/{cn}.key").read())

    return open(d + "/ca.crt").read(), d, issue


@pytest.fixture(scope="module")
def factory(stack):
    """A profile for devices that come with a manufacturer's certificate."""
    root, d, issue = own_ca("Maker Root")
    between = issue("between", ca=True)
    for file, text in zip(("ca.crt", "ca.key"), between):
        with open(f"{d}/sub-{file}", "w") as f:
            f.write(text)
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=idevid",
            "-keyout", d + "/i.key", "-out", d + "/i.csr")
    openssl("x509", "-req", "-in", d + "/i.csr", "-CA", d + "/sub-ca.crt",
            "-CAkey", d + "/sub-ca.key", "-days", "5", "-out", d + "/i.crt")
    bundle = stack.dir / "etc" / "factory.pem"
    bundle.write_text("# the maker's\n" + root + between[0])
    prefix = "CERTCTL_EST_PROFILE_FACTORY_"
    with stack.settings("api", "est", CERTCTL_EST_PROFILES="demo,factory", **{
            prefix + "ISSUER_ID": "iss-local",
            prefix + "MTLS_ENABLED": "true",
            prefix + "ENROLLMENT_PASSWORD": "unused",
            prefix + "ALLOWED_AUTH_MODES": "mtls",
            prefix + "MTLS_CLIENT_CA_TRUST_BUNDLE_PATH": str(bundle)}):
        yield {"base": stack.url + "/.well-known/est/factory",
               "bundle": bundle, "issue": issue,
               "device": (open(d + "/i.crt").read(),
                          open(d + "/i.key").read())}


def test_a_manufacturers_certificate_opens_the_door_once(est, factory):
    door = est.login(None).at(factory["base"]).show(factory["device"])
    key, der = request()
    assert door.enroll(der).status == 200
    assert mtls(door).enroll(request()[1]).status == 200
    # It is not the certificate that is renewed.
    assert door.enroll(der, "simplereenroll").status == 400


def test_a_password_is_no_way_in_where_certificates_are_asked(est, factory):
    reply = est.login("est:unused").at(factory["base"]).enroll(request()[1])
    assert reply.status == 401
    assert "www-authenticate" not in reply.headers


def test_a_certificate_of_one_profile_is_not_good_for_another(est, factory):
    name = unique("dev")
    ours = enrolled(est, name)
    door = est.login(None).at(factory["base"])
    assert door.show(ours).enroll(request(name)[1]).status == 401
    theirs = door.show(factory["device"])
    key, der = request(name)
    cert = theirs.enroll(der).cert
    # Under the same CA, but enrolled by the other.
    assert mtls(est).show((cert, key)).enroll(
        der, "simplereenroll").status == 401


def test_a_new_bundle_counts_at_the_next_request(est, factory, api):
    old = factory["bundle"].read_text()
    root, _, issue = own_ca("Second Maker")
    door = est.login(None).at(factory["base"]).show(issue("device2"))
    assert door.enroll(request()[1]).status == 401
    reload = {"path_id": "factory"}
    try:
        factory["bundle"].write_text("garbage")
        reply = api.post("/admin/est/reload-trust", reload)
        assert reply.status == 500
        assert est.login(None).at(factory["base"]).show(
            factory["device"]).enroll(request()[1]).status == 200
        factory["bundle"].write_text(root)
        ok(api.post("/admin/est/reload-trust", reload))
        assert door.enroll(request()[1]).status == 200
    finally:
        factory["bundle"].write_text(old)
    assert ok(api.get("/audit" + query(
        action="est_trust_anchor_reloaded")))["data"]


def test_a_header_is_no_certificate(est):
    cert, _ = enrolled(est)
    flat = cert.replace("\n", "%0A")
    for header in ("SSL_CLIENT_CERT", "SSL-Client-Cert", "X-SSL-Client-Cert",
                   "SSL_CLIENT_VERIFY"):
        reply = mtls(est).call("cacerts", headers=[f"{header}: {flat}"])
        assert reply.status == 401


# ---- What is refused ------------------------------------------------------

def broken(what):
    key, der = request(unique("bad"))
    if what == "signature":
        return der[:-1] + bytes([der[-1] ^ 1])
    if what == "tail":
        return der + b"\0"
    if what == "cut":
        return der[:-10]
    return b"\x30\x03\x02\x01\x00"


@pytest.mark.parametrize("what", ["signature", "tail", "cut", "other"])
def test_a_broken_request_is_400(est, what):
    reply = est.enroll(broken(what))
    assert reply.status == 400, reply
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text.endswith("\n") and reply.text.count("\n") == 1


@pytest.mark.parametrize("body", [b"", b"   \r\n", b"@@@@", b"\xff\xfe\0",
                                  b"-----BEGIN CERTIFICATE REQUEST-----\n",
                                  b"A" * 1000])
def test_a_body_that_is_no_request_is_400(est, body):
    assert est.call("simpleenroll", body,
                    ["Content-Type: " + PKCS10]).status == 400


def test_a_body_of_another_kind_is_415(est):
    for kind in ("application/json", "text/html", "multipart/form-data",
                 "image/png"):
        assert est.call("simpleenroll", b"{}",
                        ["Content-Type: " + kind]).status == 415


def test_a_body_beyond_the_limit_is_413(est):
    reply = est.call("simpleenroll", b"A" * (1048576 + 1),
                     ["Content-Type: " + PKCS10, "Expect:"],
                     options=["--http1.1"])
    assert reply.status == 413


def test_what_the_profile_forbids_is_400_and_leaves_nothing(est, api, db):
    name = unique("weak")
    _, der = request(name, key="RSA-1024")
    assert est.enroll(der).status == 400
    ok(api.put("/profiles/prof-est", {"required_san_patterns": ["*.test"]}))
    try:
        reply = est.enroll(request(name, [name + ".example.org"])[1])
        assert reply.status == 400 and "example.org" in reply.text
        assert said(db, "est_csr_policy_violation", name)
        assert est.enroll(request(name)[1]).status == 200
    finally:
        ok(api.put("/profiles/prof-est", {"required_san_patterns": []}))
    assert len(record_of(api, name)) == 1


def test_required_attributes_are_enforced(est, api):
    ok(api.put("/profiles/prof-est",
               {"required_csr_attributes": ["organizationName"]}))
    try:
        reply = est.enroll(request()[1])
        assert reply.status == 400 and "organizationName" in reply.text
        name = unique("dev")
        assert est.enroll(request(
            name, subject=f"/O=Acme/CN={name}")[1]).status == 200
    finally:
        ok(api.put("/profiles/prof-est", {"required_csr_attributes": []}))


def test_a_disabled_profile_enrols_nobody(est, api):
    ok(api.put("/profiles/prof-est", {"enabled": False}))
    try:
        assert est.enroll(request()[1]).status == 403
    finally:
        ok(api.put("/profiles/prof-est", {"enabled": True}))
    assert est.enroll(request()[1]).status == 200


@pytest.mark.parametrize("name", ["x" * 65, "bad‮name", "аpple"])
def test_a_name_no_certificate_should_carry_is_400(est, name):
    _, der = request("x", ["x.test"], subject="/CN=" + name,
                     extra=["-utf8"]) if len(name) < 64 else (
        None, long_name(name))
    assert est.enroll(der).status == 400


def long_name(name):
    """OpenSSL's command line refuses what a client may well send."""
    key, der = request("y" * 64, ["y.test"])
    begin, _ = _tlv(der)
    _, end = _tlv(der, begin)
    info = der[begin:end]
    at = info.index(b"y" * 64)
    parts = list(_parts(info))
    subject = _element(0x30, _element(0x31, _element(
        0x30, b"\x06\x03\x55\x04\x03" + _element(0x0c, name.encode()))))
    assert at
    return signed(key, der, _element(
        0x30, parts[0] + subject + b"".join(parts[2:])))


def signed(key, der, info):
    """The request DER with INFO in place of its own."""
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(key)
        f.flush()
        signature = openssl("dgst", "-sha256", "-sign", f.name, stdin=info)
    algorithm = list(_parts(der))[1]
    return element(0x30, info, algorithm, element(0x03, b"\0", signature))


def _parts(der):
    """The elements within the first element of DER."""
    at, end = _tlv(der)
    while at < end:
        _, stop = _tlv(der, at)
        yield der[at:stop]
        at = stop


# ---- Keys made here ---------------------------------------------------------

def parts_of(reply):
    assert reply.status == 200, reply
    assert reply.headers["cache-control"] == "no-store"
    whole = email.message_from_bytes(
        b"Content-Type: " + reply.headers["content-type"].encode()
        + b"\r\n\r\n" + reply.body)
    return [(p.get_content_type(), p["Content-Type"],
             p.get_payload(decode=True)) for p in whole.get_payload()]


def test_a_key_is_made_and_belongs_to_the_certificate(est):
    name = unique("dev")
    reply = est.post("serverkeygen", request(name, key="RSA-2048")[1])
    (kind, _, key), (_, certs_kind, certs) = parts_of(reply)
    assert kind == "application/pkcs8"
    assert "certs-only" in certs_kind
    cert = openssl("pkcs7", "-inform", "DER", "-print_certs", stdin=certs)
    assert openssl("pkey", "-inform", "DER", "-pubout", stdin=key) == \
        openssl("x509", "-noout", "-pubkey", stdin=cert)
    # The kind of key is the profile's word, not the request's.
    assert b"prime256v1" in openssl("pkey", "-inform", "DER", "-text",
                                    "-noout", stdin=key)


def wanting(name, spki_key="RSA-2048", ciphers=("60864801650304012a",),
            key_id=None, symmetric=None):
    """(key PEM, request that asks for its new key to be encrypted), signed by
    nobody: the signature is not to be looked at."""
    key, der = request(name, key=spki_key)
    info = list(_parts(next(_parts(der))))
    spki = info[2]
    bits = list(_parts(spki))[1]
    begin, end = _tlv(bits)
    if key_id is None:
        key_id = bytes.fromhex(openssl(
            "dgst", "-sha1", "-r", stdin=bits[begin + 1:end]).split()[0]
            .decode())
    extensions = next(_parts(info[3])) if len(info) > 3 else b""

    def attribute(oid, value):
        return _element(0x30, _element(6, bytes.fromhex(oid))
                        + _element(0x31, value))

    attributes = extensions + attribute("2a864886f70d01090f", _element(
        0x30, b"".join(_element(0x30, _element(6, bytes.fromhex(c)))
                       for c in ciphers)))
    if symmetric:
        attributes += attribute("2a864886f70d0109100225",
                                _element(4, symmetric))
    else:
        attributes += attribute("2a864886f70d0109100236", _element(4, key_id))
    info = _element(0x30, info[0] + info[1] + spki
                    + _element(0xa0, attributes))
    return key, _element(0x30, info + list(_parts(der))[1]
                         + _element(3, b"\0nobody"))


@pytest.mark.parametrize("kind, cipher", [
    ("RSA-2048", "60864801650304012a"), ("P-256", "608648016503040102")])
def test_a_key_is_encrypted_to_the_key_that_is_named(est, ca, kind, cipher):
    name = unique("dev")
    key, der = wanting(name, kind, (cipher,))
    (_, sealed_kind, sealed), (_, _, certs) = parts_of(
        est.post("serverkeygen", der))
    assert sealed_kind == \
        "application/pkcs7-mime; smime-type=server-generated-key"
    assert bytes.fromhex(cipher) in sealed
    with tempfile.TemporaryDirectory() as d:
        for file, text in (("key", key.encode()), ("ca", ca.encode())):
            with open(f"{d}/{file}", "wb") as f:
                f.write(text)
        signed = openssl("cms", "-decrypt", "-inform", "DER", "-inkey",
                         d + "/key", stdin=sealed)
        # SignedData stands there without a ContentInfo around it.
        package = openssl("cms", "-verify", "-inform", "DER", "-purpose",
                          "any", "-CAfile", d + "/ca", stdin=_element(
                              0x30, bytes.fromhex("06092a864886f70d010702")
                              + _element(0xa0, signed)))
    made = next(_parts(package))
    cert = openssl("pkcs7", "-inform", "DER", "-print_certs", stdin=certs)
    assert openssl("pkey", "-inform", "DER", "-pubout", stdin=made) == \
        openssl("x509", "-noout", "-pubkey", stdin=cert)


@pytest.mark.parametrize("how", [
    {"key_id": b"\1" * 20}, {"symmetric": b"psk-1"},
    {"ciphers": ("2a864886f70d0307",)}])
def test_a_key_that_cannot_be_encrypted_is_not_sent(est, api, how):
    name = unique("dev")
    reply = est.post("serverkeygen", wanting(name, **how)[1])
    assert reply.status == 400, reply
    assert not record_of(api, name)


def test_serverkeygen_is_404_where_it_is_off(stack, est):
    reply = est.at(stack.url + "/.well-known/est").post(
        "serverkeygen", request()[1])
    assert reply.status == 404


# ---- Limits, counters, administration ---------------------------------------

def test_a_name_is_limited_a_day(stack, est):
    prefix = "CERTCTL_EST_PROFILE_DEMO_"
    with stack.settings("est", **{
            prefix + "RATE_LIMIT_PER_PRINCIPAL_24H": "2"}):
        name = unique("dev")
        for _ in range(2):
            assert est.enroll(request(name)[1]).status == 200
        reply = est.enroll(request(name)[1])
        assert reply.status == 429 and int(reply.headers["retry-after"]) > 60
        assert est.enroll(request()[1]).status == 200


def test_the_global_limit_answers_as_everywhere(stack, est):
    with stack.settings("est", CERTCTL_RATE_LIMIT_RPS="0.01",
                        CERTCTL_RATE_LIMIT_BURST="1"):
        replies = [est.call("cacerts") for _ in range(3)]
    assert replies[-1].status == 429
    assert replies[-1].headers["retry-after"] == "1"
    assert json.loads(replies[-1].body) == {"error": "Rate limit exceeded"}


def counters(api, label="demo"):
    body = ok(api.get("/admin/est/profiles"))
    return next(p for p in body["profiles"] if p["path_id"] == label)[
        "counters"]


def test_counters_move(est, api):
    before = counters(api)
    name = unique("dev")
    cert = enrolled(est, name)
    mtls(est).show(cert).enroll(request(name)[1], "simplereenroll")
    est.post("serverkeygen", request()[1])
    est.login("est:wrong").enroll(request()[1])
    mtls(est).call("cacerts")
    est.enroll(b"\x30\x00")
    est.enroll(broken("signature"))
    est.enroll(request(unique("weak"), ["a.test"], subject="/CN=a/CN=b")[1])
    after = counters(api)
    moved = {k: after[k] - before[k] for k in after if after[k] != before[k]}
    assert moved == {
        "success_simpleenroll": 1, "success_simplereenroll": 1,
        "success_serverkeygen": 1, "auth_failed_basic": 1,
        "auth_failed_mtls": 1, "csr_invalid": 2, "csr_signature_mismatch": 1}


def test_profiles_are_shown_to_administrators(api, operator, est):
    assert operator.get("/admin/est/profiles").status == 403
    assert operator.post("/admin/est/reload-trust", {}).status == 403
    body = ok(api.get("/admin/est/profiles"))
    assert body["profile_count"] == len(body["profiles"]) >= 2
    assert body["generated_at"]
    demo = next(p for p in body["profiles"] if p["path_id"] == "demo")
    assert demo["issuer_id"] == "iss-local"
    assert demo["profile_id"] == "prof-est"
    assert demo["mtls_enabled"] and demo["basic_auth_configured"]
    assert demo["server_keygen_enabled"]
    anchor, = demo["trust_anchors"]
    assert anchor["subject"] and anchor["days_to_expiry"] > 3000
    assert anchor["expired"] is False
    assert demo["trust_anchor_path"].endswith("est-ca.pem")
    assert refused(api.post("/admin/est/reload-trust",
                            {"path_id": "nobody"}), 404)
    assert refused(api.post("/admin/est/reload-trust", {"path_id": ""}), 409)


def test_what_was_enrolled_is_revoked_by_the_dozen(api, operator, est, db):
    path = "/est/certificates/bulk-revoke"
    team, = [t["id"] for t in listed(api.get("/teams" + query(
        per_page=500)))["data"] if t["id"] == "t-est"]
    names = [unique("bulk") for _ in range(3)]
    for name in names:
        enrolled(est, name)
    ids = [record_of(api, name)[0]["id"] for name in names]
    ok(api.post(f"/certificates/{ids[2]}/revoke", {"reason": "superseded"}))
    other = db("SELECT id FROM managed_certificates WHERE source <> 'EST' "
               "LIMIT 1")
    body = {"reason": "keyCompromise", "team_id": team,
            "certificate_ids": ids + ["mc-none"] + [i for i, in other]}
    assert operator.post(path, body).status == 403
    for bad in ({"reason": "keyCompromise"}, {"certificate_ids": ids},
                {**body, "reason": "boredom"},
                {**body, "reason": "removeFromCRL"}, {}):
        assert refused(api.post(path, bad), 400)
    assert ok(api.post(path, {**body, "owner_id": "o-none"})) == {
        "total_matched": 0, "total_revoked": 0, "total_skipped": 0,
        "total_failed": 0}
    db("UPDATE certificate_versions SET not_after = now() - interval '1 h' "
       f"WHERE certificate_id = '{ids[1]}'")
    assert ok(api.post(path, body)) == {
        "total_matched": 3, "total_revoked": 1, "total_skipped": 1,
        "total_failed": 1, "errors": [
            {"certificate_id": ids[1], "error": "nothing of it is unexpired"}]}
    assert [record_of(api, n)[0]["status"] for n in names] == \
        ["Revoked", "Active", "Revoked"]
    assert db("SELECT reason FROM certificate_revocations WHERE "
              f"certificate_id = '{ids[0]}'") == [["keyCompromise"]]
    event = ok(api.get("/audit" + query(action="est_bulk_revoke")))["data"][0]
    assert event["resource_id"] == "bulk"
    assert event["details"]["total_revoked"] == 1
    assert ids[0] in event["details"]["certificate_ids"]
    assert ok(api.get("/audit" + query(
        action="certificate_revoked", resource_id=ids[0])))["data"]


# ---- Slow issuers, faults ----------------------------------------------------

def test_what_cannot_be_signed_at_once_is_pending(stack, est, api):
    name = unique("slow")
    _, der = request(name)
    assert est.enroll(request()[1]).status == 200   # issuers are open
    stack.stop("signer")
    try:
        reply = est.enroll(der)
        assert reply.status == 202, reply
        assert int(reply.headers["retry-after"]) > 0
        assert int(reply.headers["content-length"]) == len(reply.body)
        assert est.enroll(der).status == 202
        assert est.post("serverkeygen", request()[1]).status == 503
    finally:
        stack.start("signer")
    done = wait_for(lambda: (r := est.enroll(der)).status == 200 and r, 40,
                    every=0.5, what="the certificate that was pending")
    assert est.enroll(der).cert == done.cert
    record, = record_of(api, name)
    assert record["status"] == "Active"
    assert len(listed(api.get(
        f"/certificates/{record['id']}/versions"))["data"]) == 1


def test_without_the_database_it_is_503(stack, est):
    stack.stop("postgres")
    try:
        reply = est.enroll(request()[1])
        assert reply.status == 503 and int(reply.headers["retry-after"]) > 0
        assert est.call("cacerts").status in (200, 503)
    finally:
        stack.start("postgres")
        stack.wait_ready()
    assert wait_for(lambda: est.enroll(request()[1]).status == 200, 10)


def test_many_at_once_lose_nothing(stack, est, api, db):
    names = [unique("many") for _ in range(40)]
    open_intents = "SELECT count(*) FROM issuance_intents " \
        "WHERE resolved_at IS NULL"
    before, jobs = db(open_intents), []
    with tempfile.TemporaryDirectory() as d:
        for i, name in enumerate(names):
            with open(f"{d}/{i}", "wb") as f:
                f.write(base64.b64encode(request(name)[1]))
            jobs.append(subprocess.Popen(
                ["curl", "-sS", "-m", "60", "-o", f"{d}/{i}.out", "-w",
                 "%{http_code}", "--cacert", stack.ca, "-u", est.user, "-H",
                 "Content-Type: " + PKCS10, "--data-binary", f"@{d}/{i}",
                 est.base + "/simpleenroll"], stdout=subprocess.PIPE))
        assert [j.communicate()[0] for j in jobs] == [b"200"] * len(names)
    assert int(db(open_intents)[0][0]) <= int(before[0][0])
    assert all(len(record_of(api, n)) == 1 for n in names[:5])


def test_the_same_name_at_once_is_one_record(stack, est, api):
    name = unique("race")
    _, der = request(name)
    with tempfile.NamedTemporaryFile() as f:
        f.write(base64.b64encode(der))
        f.flush()
        jobs = [subprocess.Popen(
            ["curl", "-sS", "-m", "60", "-o", "/dev/null", "-w",
             "%{http_code}", "--cacert", stack.ca, "-u", est.user,
             "--data-binary", "@" + f.name, est.base + "/simpleenroll"],
            stdout=subprocess.PIPE) for _ in range(12)]
        assert {j.communicate()[0] for j in jobs} == {b"200"}
    record, = record_of(api, name)
    assert len(listed(api.get(
        f"/certificates/{record['id']}/versions"))["data"]) == 12


# ---- Boot -----------------------------------------------------------------

P = "CERTCTL_EST_PROFILE_X_"
X = {"CERTCTL_EST_PROFILES": "x", P + "ISSUER_ID": "iss-local",
     P + "ENROLLMENT_PASSWORD": "secret"}
REFUSALS = [
    ({"CERTCTL_EST_ENABLED": "false"}, "CERTCTL_EST_ENABLED is false"),
    ({"CERTCTL_EST_PROFILES": "x,a/b"}, "no label"),
    ({"CERTCTL_EST_PROFILES": "x,-b"}, "no label"),
    ({"CERTCTL_EST_PROFILES": "x,X"}, "named twice"),
    ({"CERTCTL_EST_PROFILES": "x,simpleenroll"}, "operation"),
    ({"CERTCTL_EST_PROFILES": "x,est"}, "operation"),
    ({P + "ISSUER_ID": ""}, "ISSUER_ID is empty"),
    ({P + "MTLS_ENABLED": "true"}, "MTLS_CLIENT_CA_TRUST_BUNDLE_PATH"),
    ({P + "CHANNEL_BINDING_REQUIRED": "true"}, "needs MTLS_ENABLED"),
    ({P + "CHANNEL_BINDING_REQUIRED": "true", P + "MTLS_ENABLED": "true"},
     "RFC 9266"),
    ({P + "ALLOWED_AUTH_MODES": "basic,magic"}, "other than basic"),
    ({P + "ALLOWED_AUTH_MODES": "mtls"}, "MTLS_ENABLED is false"),
    ({P + "ALLOWED_AUTH_MODES": "basic", P + "ENROLLMENT_PASSWORD": ""},
     "ENROLLMENT_PASSWORD is empty"),
    ({P + "ENROLLMENT_PASSWORD": ""}, "anyone could enrol"),
    ({P + "RATE_LIMIT_PER_PRINCIPAL_24H": "-1"}, "between"),
    ({P + "SERVERKEYGEN_ENABLED": "true"}, "needs PROFILE_ID"),
    ({P + "MTLS_ENABLED": "true", P + "MTLS_CLIENT_CA_TRUST_BUNDLE_PATH":
      "/nonexistent"}, "trust bundle /nonexistent"),
    ({P + "MTLS_ENABLED": "true", P + "MTLS_CLIENT_CA_TRUST_BUNDLE_PATH":
      "BUNDLE:none"}, "no certificate"),
    ({P + "MTLS_ENABLED": "true", P + "MTLS_CLIENT_CA_TRUST_BUNDLE_PATH":
      "BUNDLE:broken"}, "damaged"),
    ({P + "MTLS_ENABLED": "true", P + "MTLS_CLIENT_CA_TRUST_BUNDLE_PATH":
      "BUNDLE:expired"}, "expired"),
    ({P + "MTLS_ENABLED": "true", P + "MTLS_CLIENT_CA_TRUST_BUNDLE_PATH":
      "BUNDLE:leaf"}, "not a CA"),
    ({"CERTCTL_EST_MTLS_ENABLED": "true", "CERTCTL_EST_PROFILES": "",
      P + "ISSUER_ID": "", P + "ENROLLMENT_PASSWORD": ""}, "needs a label"),
    ({"CERTCTL_EST_PROFILE_Y_ISSUER_ID": "iss-local"}, "unknown setting"),
    ({P + "NONSENSE": "1"}, "unknown setting"),
]


def bundle(kind, d):
    path = f"{d}/{kind}.pem"
    ca_pem, place, issue = own_ca("Bundle CA")
    text = {"expired": lambda: issue("old", ca=True, days="-1")[0],
            "none": lambda: open(place + "/ca.key").read(),
            "broken": lambda: ca_pem.replace("MII", "AAA", 1),
            "leaf": lambda: issue("leaf")[0]}[kind]()
    with open(path, "w") as f:
        f.write(text)
    return path


@pytest.mark.parametrize("settings, why", REFUSALS,
                         ids=[w.replace(" ", "-") for _, w in REFUSALS])
def test_it_refuses_to_start(stack, tmp_path, settings, why):
    settings = {**X, **settings}
    for name, value in settings.items():
        if value.startswith("BUNDLE:"):
            settings[name] = bundle(value[7:], tmp_path)
    done = subprocess.run(
        [stack.dir / "bin" / "certctl-est", "--check-config"],
        env={"CERTCTL_CONFIG_FILE": "/dev/null", "CERTCTL_EST_ENABLED": "true",
             **settings}, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0, done.stdout
    assert why in done.stderr, done.stderr


def test_good_settings_are_printed_without_the_password(stack):
    done = subprocess.run(
        [stack.dir / "bin" / "certctl-est", "--check-config"],
        env={"CERTCTL_CONFIG_FILE": "/dev/null", "CERTCTL_EST_ENABLED": "true",
             **X}, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert P + "ENROLLMENT_PASSWORD=********" in done.stdout
    assert "=secret" not in done.stdout


@pytest.mark.parametrize("settings, why", [
    ({"CERTCTL_EST_PROFILE_DEMO_ISSUER_ID": "iss-none"},
     'issuer \\"iss-none\\" does not exist'),
    ({"CERTCTL_EST_PROFILE_DEMO_PROFILE_ID": "prof-none"},
     'certificate profile \\"prof-none\\" does not exist'),
    ({"CERTCTL_EST_PROFILE_DEMO_OWNER_ID": "o-none"},
     'owner \\"o-none\\" does not exist'),
])
def test_what_the_settings_name_must_be_there(stack, settings, why):
    env = {"PATH": "/usr/bin:/bin"}
    for name in ("certctl", "est", "extra"):
        for line in (stack.dir / f"etc/{name}.env").read_text().splitlines():
            key, _, value = line.partition("=")
            env[key] = value.strip("'")
    env.update(settings)
    with socket.socket(socket.AF_UNIX) as s, \
            tempfile.TemporaryDirectory() as d:
        s.bind(d + "/s")
        s.listen(1)
        user = {"user": "daemon", "group": "daemon"} \
            if os.geteuid() == 0 else {}
        done = subprocess.run([stack.dir / "bin" / "certctl-est"], stdin=s,
                              env=env, capture_output=True, text=True,
                              timeout=30, **user)
    assert done.returncode != 0
    assert why in done.stderr, done.stderr
