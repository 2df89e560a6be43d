"""Serial numbers whose spelling is in doubt, on every path to them."""

import base64
import secrets
import urllib.parse

import pytest

from est import Est, request
from lib import _tlv, listed, ok, openssl, refused, unique, wait_for
from pki import (Known, cert_id, element, ocsp_request, serials_of,
                 status_of)

# What stands in front, and how many octets it all is.
SERIALS = {
    "a zero nibble": ("0a", 20),
    "a zero octet": ("00a5", 20),
    "two zero octets and a nibble": ("000007", 20),
    "the sign bit": ("9c", 19),
    "one octet": ("", 1),
}


def a_serial(kind):
    front, octets = SERIALS[kind]
    if not front:
        return secrets.choice("123456789abcdef")
    return front + secrets.token_hex(octets - len(front) // 2)


@pytest.fixture(scope="module")
def est(stack):
    stack.start("est")
    return Est(stack, stack.est, "est:" + stack.env["CERTCTL_EST_PASSWORD"])


def parts(der):
    """The elements within the first element of DER."""
    at, end = _tlv(der)
    while at < end:
        _, stop = _tlv(der, at)
        yield der[at:stop]
        at = stop


def numbered(pem, serial, ca_key):
    """The certificate PEM with another serial number, signed again."""
    tbs, algorithm, _ = parts(openssl("x509", "-outform", "DER",
                                      stdin=pem.encode()))
    version, _, *rest = parts(tbs)
    n = int(serial, 16)
    tbs = element(0x30, version, element(2, n.to_bytes(
        n.bit_length() // 8 + 1, "big")), *rest)
    signature = openssl("dgst", "-sha256", "-sign", str(ca_key), stdin=tbs)
    return openssl("x509", "-inform", "DER", stdin=element(
        0x30, tbs, algorithm, element(3, b"\0", signature))).decode()


def enrolled_as(stack, est, api, db, serial):
    """What EST enrolled, as if the CA had chosen SERIAL for it: (Known, key).

    The certificate is signed once more with the CA's key, and takes the place
    of the first one in the inventory."""
    name = unique("serial")
    key, der = request(name)
    first = est.enroll(der).cert
    record, = [c for c in listed(api.get(
        "/certificates?per_page=100&sort=-created_at"))["data"]
        if c["common_name"] == name]
    version, = listed(api.get(f"/certificates/{record['id']}/versions"))["data"]
    ca_key, = (stack.dir / "signer").rglob("iss-local.key")
    again = numbered(first, serial, ca_key)
    stored = serial.lstrip("0")
    stored = "0" * (len(stored) % 2) + stored
    fingerprint = openssl("x509", "-noout", "-fingerprint", "-sha256",
                          stdin=again.encode()).decode()
    fingerprint = fingerprint.split("=")[1].strip().replace(":", "").lower()
    db(f"DELETE FROM certificate_versions WHERE serial_number = '{stored}'; "
       f"UPDATE certificate_versions SET serial_number = '{stored}', "
       f"fingerprint_sha256 = '{fingerprint}', pem_chain = "
       f"replace(pem_chain, '{first}', '{again}') "
       f"WHERE certificate_id = '{record['id']}'")
    version, = listed(api.get(f"/certificates/{record['id']}/versions"))["data"]
    assert version["serial_number"] == stored
    return Known(None, record, version), key


def by_every_door(pki, known, serial):
    """What OCSP says of SERIAL, asked for in each way and spelling."""
    der = ocsp_request([cert_id(known.above[0], serial)])
    text = urllib.parse.quote(base64.b64encode(der).decode(), safe="")
    short = serial.lstrip("0")
    said = {status_of(pki.ask(der)),
            status_of(pki.call("GET", "/ocsp/iss-local/" + text).body)}
    for spelling in (serial, serial.upper(), short, short.upper(),
                     "0" + short, "00" + short, short.zfill(40)):
        said.add(status_of(pki.call("GET",
                                    "/ocsp/iss-local/" + spelling).body))
    assert len(said) == 1, said
    return said.pop()


SPELLINGS = [
    lambda s: s, str.upper, lambda s: s.lstrip("0"), lambda s: s.zfill(40),
    lambda s: "0x" + s.upper(),
    lambda s: ":".join((s.upper() if len(s) % 2 == 0 else "0" + s)[i:i + 2]
                       for i in range(0, len(s), 2)),
]


def revoke(api, known, serial, reason):
    return api.post(f"/certificates/{known.id}/revoke",
                    {"serial_number": serial, "reason": reason})


@pytest.fixture
def forget(db):
    """Certificates that no signer recorded are not there afterwards."""
    yield
    db("DELETE FROM certificate_versions v WHERE NOT EXISTS "
       "(SELECT FROM issuance_intents i WHERE i.issuer_id = v.issuer_id "
       "AND i.serial_number = v.serial_number)")


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize("kind", SERIALS)
def test_a_serial_is_found_by_every_path(stack, est, api, db, pki, kind):
    serial = a_serial(kind)
    known, key = enrolled_as(stack, est, api, db, serial)
    door = est.login(None).at(est.base.replace("/est/", "/est-mtls/")).show(
        (known.leaf, key))
    _, der = request(known.record["common_name"])
    by_post = ocsp_request([cert_id(known.above[0], serial)])
    assert status_of(pki.ask(by_post)) == "good"
    for spell in SPELLINGS:
        ok(revoke(api, known, spell(serial), "certificateHold"))
        assert status_of(pki.ask(by_post)) == "revoked"
        ok(revoke(api, known, spell(serial), "removeFromCRL"))
        assert status_of(pki.ask(by_post)) == "good"
    ok(revoke(api, known, serial.upper(), "keyCompromise"))
    # By GET for the first time: the web server caches.
    assert by_every_door(pki, known, serial) == "revoked"
    assert door.enroll(der, "simplereenroll").status == 401
    wait_for(lambda: serials_of(pki.crl()).get(known.serial) ==
             "Key Compromise", 10, every=0.1, what="the entry on the CRL")


@pytest.mark.parametrize("bad", ["xyz", "0x", "-1", "1" * 41, "12 zz"])
def test_what_is_no_serial_is_400(api, est, bad):
    name = unique("serial")
    est.enroll(request(name)[1])
    record, = [c for c in listed(api.get(
        "/certificates?per_page=100&sort=-created_at"))["data"]
        if c["common_name"] == name]
    assert refused(api.post(f"/certificates/{record['id']}/revoke",
                            {"serial_number": bad}), 400)
