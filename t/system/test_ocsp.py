"""OCSP's finer points, and OCSP under load."""

import base64
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

import pytest

from lib import ok, wait_for
from pki import (DIGESTS, MALFORMED, NONCE, SHA256, TRY_LATER, UNAUTHORIZED,
                 Issued, cert_id, element, ocsp_request, printed, status_of)
from relying import run

PREFERRED = NONCE[:-1] + b"\x08"
ECDSA = b"\x2a\x86\x48\xce\x3d\x04\x03"
SHA1_RSA = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"
LOAD = pathlib.Path(__file__).resolve().parents[1] / "load/run"


@pytest.fixture(scope="module")
def known(world, agent, pki):
    """One that is never revoked here."""
    return Issued(world, agent).answered(pki)


def by_get(request, name="iss-local"):
    return f"/ocsp/{name}/" + urllib.parse.quote(
        base64.b64encode(request), safe="")


def prefer(*algorithms):
    """PreferredSignatureAlgorithms, as an extension."""
    return element(0x30, element(6, PREFERRED), element(4, element(
        0x30, *[element(0x30, element(0x30, element(6, a)))
                for a in algorithms])))


def test_every_hash_of_a_cert_id(pki, known):
    ids = [known.id_of(h) for h in DIGESTS]
    said = printed(pki.ask(ocsp_request(ids)))
    assert re.findall(r"Hash Algorithm: (\w+)", said) == [
        "sha1", "sha256", "sha384", "sha512"]
    assert re.findall(r"Cert Status: (\w+)", said) == ["good"] * 4
    # One that nobody knows is nobody's CA.
    odd = known.id_of().replace(SHA256, SHA256[:-1] + b"\x0f")
    assert status_of(pki.ask(ocsp_request([odd]))) == UNAUTHORIZED
    said = printed(pki.ask(ocsp_request([ids[0], odd])))
    assert re.findall(r"Cert Status: (\w+)", said) == ["good", "unknown"]


@pytest.mark.parametrize("wish, got", [
    ([ECDSA + b"\x03"], "SHA384"), ([ECDSA + b"\x02"], "SHA256"),
    # The first that is possible; SHA-1 and another kind of key are not.
    ([SHA1_RSA, ECDSA + b"\x03", ECDSA + b"\x02"], "SHA384"),
    ([SHA1_RSA], "SHA256"), ([], "SHA256")])
def test_preferred_signature_algorithms(pki, known, tmp_path, wish, got):
    (tmp_path / "ca.pem").write_text("".join(known.above))
    for nonce in (None, b"n" * 16):
        request = known.request(extra=prefer(*wish), nonce=nonce)
        der = pki.ask(request)
        assert f"Signature Algorithm: ecdsa-with-{got}" in printed(der)
        (tmp_path / "answer").write_bytes(der)
        (tmp_path / "request").write_bytes(request)
        code, said = run("openssl", "ocsp", "-respin", tmp_path / "answer",
                         "-reqin", tmp_path / "request",
                         "-CAfile", tmp_path / "ca.pem")
        assert code == 0 and "Response verify OK" in said, said
    # Nor does one who asks in another way get what was made for that wish.
    assert "ecdsa-with-SHA256" in printed(pki.ask(known.request()))


def test_what_is_unknown_now_is_not_kept(stack, pki, known):
    """Or a certificate would be unknown for an hour after it was issued."""
    serial = known.serial[:-4] + "beef"
    path = by_get(ocsp_request([cert_id(known.above[0], serial)]))
    before = pki.call("GET", path)
    assert status_of(before.body) == "unknown"
    assert before.headers["Cache-Control"] == "no-store"
    stack.sql("INSERT INTO certificate_versions (id, certificate_id, "
              "issuer_id, ca_key_id, serial_number, not_before, not_after, "
              "fingerprint_sha256, spki_sha256, pem_chain, csr_pem, "
              "key_algorithm, key_size) SELECT 'v-' || md5(random()::text), "
              f"certificate_id, issuer_id, ca_key_id, '{serial}', not_before, "
              "not_after, md5(random()::text), spki_sha256, pem_chain, "
              "csr_pem, key_algorithm, key_size FROM certificate_versions "
              f"WHERE serial_number = '{known.serial}'")
    assert status_of(pki.call("GET", path).body) == "good"


def test_head_and_conditions_of_an_answer(pki, known):
    path = by_get(known.request())
    head = pki.call("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) > 100
    got = pki.call("GET", path)
    same = pki.call("GET", path, If_None_Match=got.headers["ETag"])
    assert (same.status, same.body) == (304, b"")
    assert pki.call("GET", path, If_None_Match='"x"').status == 200


def test_the_hex_form_has_its_own_errors(pki, known):
    for path, want in ((f"/ocsp/iss-nobody/{known.serial}", UNAUTHORIZED),
                       (f"/ocsp/{known.name}/{known.serial}", "good"),
                       ("/ocsp/iss-local/1234567", "unknown"),
                       ("/ocsp/iss-local/0x12", MALFORMED)):
        r = pki.call("GET", path)
        assert r.status == 200 and status_of(r.body) == want, path


def test_who_asks_too_often_is_asked_to_come_again(stack, pki, known):
    with stack.settings("pki", CERTCTL_OCSP_RATE_LIMIT_PER_IP_MIN="5"):
        said = [status_of(pki.ask(known.request())) for _ in range(12)]
        assert set(said) == {"good", TRY_LATER} and said[-1] == TRY_LATER
        r = pki.call("GET", by_get(known.request(nonce=b"n" * 8)))
        assert status_of(r.body) == TRY_LATER
        assert r.headers["Cache-Control"] == "no-store"
    wait_for(lambda: status_of(pki.ask(known.request())) == "good",
             what="answers without that limit")


def test_no_answer_is_older_than_the_last_change(world, agent, pki):
    """A client that keeps the newest of two is not misled by a release."""
    def this_update():
        said = printed(pki.ask(one.request()))
        return re.search(r"This Update: (.*)", said)[1]

    one = Issued(world, agent)
    ok(one.revoke("certificateHold"))
    held = this_update()
    wait_for(lambda: this_update() == held, what="the same answer")
    ok(one.revoke("removeFromCRL"))
    assert status_of(pki.ask(one.request())) == "good"
    # Both within one second look alike; the month's name sorts like nothing.
    def parsed(text):
        return run("date", "-d", text, "+%s")[1].strip()
    assert parsed(this_update()) >= parsed(held)


def test_every_answer_under_load_is_right():
    """Revocations, malformed requests and nonces at once; see t/load/run."""
    done = subprocess.run(
        [sys.executable, LOAD, "--quick", "--build",
         os.environ["CERTCTL_BUILD_DIR"], "--web",
         os.environ.get("CERTCTL_TEST_WEB", "nginx")],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
