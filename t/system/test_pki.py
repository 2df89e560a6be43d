"""CRLs and OCSP as relying parties see them, with and without TLS."""

import base64
import hashlib
import re
import secrets
import time
import urllib.parse

import pytest

from lib import ok, openssl, refused, wait_for, x509
from pki import (MALFORMED, NONCE, SHA1, TRY_LATER, UNAUTHORIZED, Issued,
                 ca_files, cert_id, element, number_of, ocsp_request, printed,
                 serials_of, status_of)


@pytest.fixture
def issued(world, agent):
    return Issued(world, agent)


def test_the_list_itself(pki, issued):
    crl = pki.crl()
    said = openssl("crl", "-inform", "DER", "-noout", "-text",
                   stdin=crl).decode()
    assert "Version 2" in said and "Authority Key Identifier" in said
    assert "Issuing Distribution Point" not in said
    assert pki.crl(issued.name) == crl


# ---- HTTP ------------------------------------------------------------

def test_conditional_requests_of_the_list(pki):
    # Apache calls a tag weak as long as the file could change in the second.
    first = wait_for(lambda: (lambda r: r.headers["ETag"][0] == '"' and r)(
        pki.call("GET", "/crl/iss-local")), what="a strong tag")
    etag, date = first.headers["ETag"], first.headers["Last-Modified"]
    assert "max-age=" in first.headers["Cache-Control"]
    for condition in ({"If_None_Match": etag},
                      {"If_None_Match": f'"x", W/{etag}'},
                      {"If_None_Match": "*"},
                      {"If_Modified_Since": date}):
        r = pki.call("GET", "/crl/iss-local", **condition)
        assert (r.status, r.body) == (304, b""), condition
        assert r.headers["ETag"] == etag
        assert r.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert pki.call("GET", "/crl/iss-local",
                    If_None_Match='"x"').status == 200
    head = pki.call("HEAD", "/crl/iss-local")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(first.body))


def test_the_responder_has_what_is_no_file(stack, pki):
    file = stack.dir / "crl/iss-local.crl"
    wait_for(lambda: [[hashlib.sha256(pki.crl()).hexdigest()]] == stack.sql(
        "SELECT c.sha256 FROM crls c JOIN issuer_ca_keys l USING (ca_key_id) "
        "JOIN ca_keys k ON k.id = c.ca_key_id WHERE l.issuer_id = 'iss-local' "
        "AND l.active AND k.crl_wanted_at IS NULL AND "
        "k.crl_leased_until IS NULL AND c.scope = 'full'"),
        what="the newest list in its file")
    want = pki.crl()
    stack.stop("workers")       # or it would be there again
    try:
        file.unlink()
        r = pki.call("GET", "/crl/iss-local")
        assert r.status == 200 and r.body == want
        assert r.headers["ETag"].startswith('"')
        assert pki.call("GET", "/crl/iss-local", If_None_Match=r.headers[
            "ETag"]).status == 304
        assert pki.call("GET", "/crl/iss-local", If_Modified_Since=r.headers[
            "Last-Modified"]).status == 304
        assert pki.call("HEAD", "/crl/iss-local").status == 200
    finally:
        stack.start("workers")
    wait_for(file.exists, 10, what="the file again")
    # By this all hosts that send it say the same of it.
    assert pki.call("GET", "/crl/iss-local").headers["Last-Modified"] == \
        r.headers["Last-Modified"]


def test_what_is_not_there(pki, anon):
    for path, status in (("/crl/iss-nobody", 404), ("/crl/iss-local/x", 404),
                         ("/crl/iss-local/delta", 404),
                         ("/ca/iss-nobody.cer", 404), ("/crl/", 404),
                         ("/", 404), ("/../../api/v1/version", 404)):
        assert pki.call("GET", path).status == status, path
    assert pki.call("POST", "/crl/iss-local", b"").status == 405
    assert pki.call("DELETE", "/ocsp/iss-local").status == 405
    # Nothing else is served without TLS.
    for path in ("/api/v1/version", "/health", "/", "/index.html"):
        pki_base, pki.base = pki.base, ""
        try:
            assert pki.call("GET", path).status == 404, path
        finally:
            pki.base = pki_base


def test_an_answer_by_get_is_cached_for_seconds(pki, issued):
    path = "/ocsp/iss-local/" + urllib.parse.quote(
        base64.b64encode(issued.request()), safe="")
    first = pki.call("GET", path)
    assert status_of(first.body) == "good"
    control = first.headers["Cache-Control"]
    assert re.search(r"max-age=(3[0-9]{3}|2[0-9]{3})", control), control
    assert {"public", "no-transform", "must-revalidate"} <= set(
        re.split(r", *", control))
    assert first.headers["ETag"].startswith('"')
    assert first.headers["Last-Modified"] and first.headers["Expires"]
    ok(issued.revoke())
    revoked_at = time.monotonic()
    assert status_of(pki.ask(issued.request())) == "revoked"
    wait_for(lambda: status_of(pki.call("GET", path).body) == "revoked", 8,
             every=0.2, what="the end of the cached answer")
    assert time.monotonic() - revoked_at < 7


def test_errors_are_not_cached(stack, pki, issued):
    path = "/ocsp/iss-local/" + urllib.parse.quote(
        base64.b64encode(issued.request()), safe="")
    bad = pki.call("GET", "/ocsp/iss-local/MAAA")
    assert status_of(bad.body) == MALFORMED
    assert bad.headers["Cache-Control"] == "no-store"
    stack.stop("postgres")
    try:
        down = pki.call("GET", path)
        assert status_of(down.body) == TRY_LATER
    finally:
        stack.start("postgres")
        stack.wait_ready()
    wait_for(lambda: status_of(pki.call("GET", path).body) == "good", 10,
             what="an answer once the database is back")


# ---- Requests --------------------------------------------------------

def test_every_spelling_of_a_get(pki, issued):
    ca = issued.above[0]
    # A request whose base64 has all that servers like to change.
    while True:
        serial = secrets.token_bytes(16).hex()
        der = ocsp_request([cert_id(ca, serial)])
        text = base64.b64encode(der).decode()
        if "//" in text and "+" in text and text.endswith("="):
            break
    want = pki.ask(der)
    for spelling in (
            text, text.rstrip("="), urllib.parse.quote(text, safe=""),
            urllib.parse.quote(text, safe="/"), text.replace("+", "%2b"),
            text.replace("/", "%2f").replace("=", "%3d")):
        r = pki.call("GET", "/ocsp/iss-local/" + spelling)
        assert r.status == 200 and status_of(r.body) == "unknown", spelling
        assert serial.upper() in printed(r.body), spelling
    assert status_of(want) == "unknown"
    h = pki.call("GET", f"/ocsp/iss-local/{issued.serial}")
    assert status_of(h.body) == "good"
    assert status_of(pki.call("GET", "/ocsp/iss-local/"
                              + issued.serial.upper()).body) == "good"
    for bad in ("zz", "M", "MAAA", "%00", "f" * 80, "M" * 12000):
        r = pki.call("GET", "/ocsp/iss-local/" + bad)
        assert r.status in (400, 404, 414) or \
            status_of(r.body) == MALFORMED, (bad, r.status)


def test_several_in_one_request(pki, world, agent, levels, issued):
    other = Issued(world, agent)
    ok(other.revoke("superseded"))
    ca = issued.above[0]
    ids = [issued.id_of(), other.id_of(SHA1), cert_id(ca, "1234"),
           cert_id(issued.leaf, "99")]
    said = printed(pki.ask(ocsp_request(ids)))
    assert re.findall(r"Cert Status: (\w+)", said) == [
        "good", "revoked", "unknown", "unknown"]
    assert re.findall(r"Hash Algorithm: (\w+)", said) == [
        "sha256", "sha1", "sha256", "sha256"]
    assert "Revocation Reason: superseded" in said
    # 16 are answered, 17 are refused.
    assert len(re.findall("Cert Status", printed(pki.ask(ocsp_request(
        [issued.id_of()] * 16))))) == 16
    assert status_of(pki.ask(ocsp_request([issued.id_of()] * 17))) == \
        MALFORMED
    # No signer is right for two CAs, nor for none of ours.
    below = Issued(world, agent,
                   levels["a root and a policy CA"]).answered(pki)
    assert status_of(pki.ask(ocsp_request(
        [issued.id_of(), below.id_of()]))) == UNAUTHORIZED
    assert status_of(pki.ask(ocsp_request(
        [cert_id(issued.leaf, "99")]))) == UNAUTHORIZED
    # One address does for every CA.
    assert status_of(pki.ask(below.request())) == "good"


def test_nonces(pki, issued):
    for size in (1, 32, 33, 128):
        nonce = secrets.token_bytes(size)
        der = pki.ask(issued.request(nonce=nonce))
        assert status_of(der) == "good"
        # The responseExtensions end with it, before the signature.
        assert element(0x30, element(6, NONCE), element(
            4, element(4, nonce))) in der, size
    for size in (0, 129):
        assert status_of(pki.ask(issued.request(
            nonce=b"x" * size))) == MALFORMED, size
    by_get = pki.call("GET", "/ocsp/iss-local/" + urllib.parse.quote(
        base64.b64encode(issued.request(nonce=b"n" * 16)), safe=""))
    assert by_get.headers["Cache-Control"] == "no-store"


def test_what_is_no_request(pki, issued):
    good = issued.request()
    critical = element(0x30, element(6, b"\x2a\x03"), b"\x01\x01\xff",
                       element(4, b""))
    for der in (b"", b"\x30", secrets.token_bytes(40), good[:-1],
                good + b"\0", ocsp_request([]), issued.request(
                    extra=critical), b"\x30\x80" + good[2:] + b"\0\0"):
        assert pki.ask(der)[:5] == b"\x30\x03\x0a\x01\x01", der
    r = pki.call("POST", "/ocsp/iss-local", good, Content_Type="text/plain")
    assert r.status == 415
    assert pki.call("POST", "/ocsp/iss-local", good,
                    Content_Type="Application/OCSP-Request").status == 200
    assert pki.call("POST", "/ocsp/iss-local", b"x" * 9000,
                    Content_Type="application/ocsp-request").status == 413
    assert status_of(pki.call("POST", "/ocsp/iss-local", good).body) == "good"


def test_the_responder_certificate(pki, issued):
    said = printed(pki.ask(issued.request()))
    pem = said[said.index("-----BEGIN CERTIFICATE-----"):]
    text = x509(pem, "-text")
    assert "OCSP Signing" in text and "OCSP No Check" in text
    assert "CN = OCSP Responder for CertCtl Local CA" in text
    assert "Digital Signature" in text and "CA:TRUE" not in text
    assert "Responder Id: " in said and "CN =" not in \
        re.search(r"Responder Id: (.*)", said)[1]


# ---- Revoking --------------------------------------------------------

def test_hold_release_and_the_rising_number(pki, issued, world):
    before = number_of(pki.crl())
    ok(issued.revoke("certificateHold"))
    assert status_of(pki.ask(issued.request())) == "revoked"
    issued.listed(pki)
    assert serials_of(pki.crl())[issued.serial] == "Certificate Hold"
    assert number_of(pki.crl()) > before
    assert ok(issued.revoke("removeFromCRL"))["status"] == "released"
    assert status_of(pki.ask(issued.request())) == "good"
    wait_for(lambda: issued.serial not in serials_of(pki.crl()), 10,
             what="the list without it")
    assert world.certificate_now(issued.record)["status"] == "Active"
    # From hold to revoked for good, and never back.
    ok(issued.revoke("certificateHold"))
    ok(issued.revoke("cessationOfOperation"))
    refused(issued.revoke("removeFromCRL"), 400)
    refused(issued.revoke("keyCompromise"), 400)
    wait_for(lambda: serials_of(pki.crl()).get(issued.serial)
             == "Cessation Of Operation", 10, what="the new reason")


def test_every_version_that_is_valid_is_revoked(pki, world, agent):
    one = Issued(world, agent)
    _, newer = world.issue(agent, one.record)
    first = one.request()
    second = ocsp_request([cert_id(one.above[0], newer["serial_number"])])
    # One alone, and what is left of it.
    ok(one.revoke("superseded", serial_number=one.serial))
    assert status_of(pki.ask(first)) == "revoked"
    assert status_of(pki.ask(second)) == "good"
    assert world.certificate_now(one.record)["status"] == "Active"
    ok(one.revoke("affiliationChanged"))
    assert status_of(pki.ask(second)) == "revoked"
    now = world.certificate_now(one.record)
    assert now["status"] == "Revoked" and \
        now["revocation_reason"] == "affiliationChanged"


def test_wrong_input(world, issued, api, operator):
    refused(issued.revoke("because"), 400)
    refused(issued.revoke("caCompromise", serial_number="abcd"), 404)
    never = world.certificate()
    refused(api.post(f"/certificates/{never['id']}/revoke", {}), 404)
    refused(api.post("/certificates/mc-nobody/revoke", {}), 404)
    assert api.post(f"/certificates/{issued.id}/revoke", b"{",
                    headers={"Content-Type": "application/json"}
                    ).status == 400
    ok(issued.revoke())
    assert "already revoked" in refused(issued.revoke(), 400)


def test_a_serial_that_begins_with_zero(stack, pki, world, issued):
    """Found by every path, however it is spelt."""
    serial = f"{1 + secrets.randbelow(15):02x}" + secrets.token_hex(19)
    stack.sql("INSERT INTO certificate_versions (id, certificate_id, "
              "issuer_id, ca_key_id, serial_number, not_before, not_after, "
              "fingerprint_sha256, spki_sha256, pem_chain, csr_pem, "
              "key_algorithm, key_size) SELECT 'v-' || id, certificate_id, "
              f"issuer_id, ca_key_id, '{serial}', not_before, not_after, "
              "md5(id), spki_sha256, pem_chain, csr_pem, key_algorithm, "
              "key_size FROM certificate_versions WHERE serial_number = "
              f"'{issued.serial}'")
    request = ocsp_request([cert_id(issued.above[0], serial)])
    spellings = [serial, serial[1:], serial.upper(), serial[1:].upper()]

    def answers():
        return {status_of(pki.ask(request))} | {
            status_of(pki.call("GET", "/ocsp/iss-local/" + s).body)
            for s in spellings}

    assert answers() == {"good"}
    ok(issued.revoke("unspecified", serial_number=serial.upper()))
    wait_for(lambda: answers() == {"revoked"}, 8, every=0.3,
             what="all to say so")
    wait_for(lambda: serials_of(pki.crl()).get(serial, 0) is None, 10,
             what="the entry, without a reason")


def test_unknown_serials_leave_nothing_behind(stack, pki, issued):
    ca = issued.above[0]
    tables = "SELECT (SELECT count(*) FROM ocsp_responders), " \
        "(SELECT count(*) FROM certificate_revocations), " \
        "(SELECT count(*) FROM certificate_versions)"
    before = stack.sql(tables)
    for _ in range(50):
        serial = secrets.token_hex(20)
        assert status_of(pki.ask(ocsp_request([cert_id(ca, serial)]))) == \
            "unknown"
    assert stack.sql(tables) == before
    assert status_of(pki.ask(ocsp_request([cert_id(
        ca, issued.serial)]))) == "good"


# ---- CA keys ---------------------------------------------------------

def test_a_replaced_ca_key_keeps_its_own_list(stack, pki, world, agent, root):
    issuer = world.issuer(config=ca_files(stack, root))
    old = Issued(world, agent, issuer["id"]).answered(pki)
    ok(world.api.put(f"/issuers/{issuer['id']}", {
        "name": issuer["name"], "type": "GenericCA", "enabled": True,
        "config": ca_files(stack, root)}))
    new = Issued(world, agent, issuer["id"]).answered(pki)
    assert old.name != new.name and old.above[0] != new.above[0]
    ok(old.revoke("keyCompromise"))
    assert status_of(pki.ask(old.request())) == "revoked"
    assert status_of(pki.ask(new.request())) == "good"
    old.listed(pki, old.name)
    assert serials_of(pki.crl(new.name)) == {}
    assert pki.crl(issuer["id"]) == pki.crl(new.name)
    ca = pki.call("GET", f"/ca/{old.name}.cer").body
    assert openssl("x509", "-inform", "DER", stdin=ca).decode() == \
        old.above[0]


def test_what_operators_are_told(api, operator, world, pki):
    assert operator.get("/admin/crl/cache").status == 403
    said = ok(api.get("/admin/crl/cache"))
    rows = {r["issuer_id"]: r for r in said["cache_rows"]}
    assert said["row_count"] == len(rows) and said["generated_at"]
    row = rows["iss-local"]
    assert row["cache_present"] and not row["is_stale"]
    assert row["crl_number"] >= number_of(pki.crl())
    assert 1 <= len(row["recent_events"]) <= 5
    assert set(row["recent_events"][0]) == {
        "started_at", "duration_ms", "succeeded", "crl_number",
        "revoked_count", "error"}
