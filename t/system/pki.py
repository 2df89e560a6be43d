"""CRLs and OCSP, asked for and read by the octet."""

import functools
import hashlib
import http.client
import os
import re
import shutil
import urllib.parse

import relying
from lib import _tlv, openssl, split_chain, unique, wait_for, x509

SHA1, SHA256 = b"\x2b\x0e\x03\x02\x1a", b"\x60\x86\x48\x01\x65\x03\x04\x02\x01"
SHA384, SHA512 = SHA256[:-1] + b"\x02", SHA256[:-1] + b"\x03"
DIGESTS = {SHA1: hashlib.sha1, SHA256: hashlib.sha256, SHA384: hashlib.sha384,
           SHA512: hashlib.sha512}
NONCE = b"\x2b\x06\x01\x05\x05\x07\x30\x01\x02"
MALFORMED, INTERNAL, TRY_LATER, UNAUTHORIZED = 1, 2, 3, 6


# ---- Asking ----------------------------------------------------------

class Pki:
    """The plain-HTTP server, by the octet."""

    def __init__(self, stack):
        self.stack, self.url = stack, stack.pki
        parts = urllib.parse.urlsplit(stack.pki)
        self.host, self.port, self.base = parts.hostname, parts.port, \
            parts.path

    def call(self, method, path, body=None, **headers):
        c = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            c.request(method, self.base + path, body, {
                k.replace("_", "-"): v for k, v in headers.items()})
            r = c.getresponse()
            r.body = r.read()
            return r
        finally:
            c.close()

    def crl(self, name="iss-local"):
        r = self.call("GET", "/crl/" + name)
        assert r.status == 200, (r.status, r.body)
        assert r.headers["Content-Type"] == "application/pkix-crl"
        return r.body

    def ask(self, der, name="iss-local"):
        r = self.call("POST", "/ocsp/" + name, der,
                      Content_Type="application/ocsp-request")
        assert r.status == 200, (r.status, r.body)
        assert r.headers["Content-Type"] == "application/ocsp-response"
        assert r.headers["Cache-Control"] == "no-store"
        return r.body


def number_of(crl):
    text = openssl("crl", "-inform", "DER", "-noout", "-crlnumber",
                   stdin=crl).decode()
    return int(text.strip().split("=")[1], 16)


def serials_of(crl):
    """{serial: reason or None} of a list."""
    text = openssl("crl", "-inform", "DER", "-noout", "-text",
                   stdin=crl).decode()
    found = {}
    for part in text.split("Serial Number: ")[1:]:
        reason = re.search(r"CRL Reason Code: *\n *(.*)", part)
        found[part.split()[0].lower()] = reason[1].strip() if reason else None
    return found


def element(tag, *contents):
    data = b"".join(contents)
    n = len(data)
    size = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + (bytes([n]) if n < 128 else
                           bytes([0x80 | len(size)]) + size) + data


def children(der):
    """The elements within the first element of DER."""
    at, end = _tlv(der)
    while at < end:
        _, stop = _tlv(der, at)
        yield der[at:stop]
        at = stop


@functools.cache
def octets_of(pem):
    """(subject of the certificate, octets of its public key)."""
    der = openssl("x509", "-outform", "DER", stdin=pem.encode())
    *_, subject, spki = list(children(next(children(der))))[:7]
    _, bits = children(spki)
    begin, end = _tlv(bits)
    return subject, bits[begin + 1:end]


def cert_id(issuer_pem, serial, algorithm=SHA256):
    """CertID of SERIAL (hex) below the CA in ISSUER_PEM."""
    digest = DIGESTS[algorithm]
    subject, key = octets_of(issuer_pem)
    n = int(serial, 16)
    n = n.to_bytes(n.bit_length() // 8 + 1, "big")
    return element(0x30, element(0x30, element(6, algorithm), b"\5\0"),
                   element(4, digest(subject).digest()),
                   element(4, digest(key).digest()), element(2, n))


def ocsp_request(ids, nonce=None, extra=b""):
    tbs = element(0x30, *[element(0x30, i) for i in ids])
    extensions = extra
    if nonce is not None:
        extensions += element(0x30, element(6, NONCE),
                              element(4, element(4, nonce)))
    if extensions:
        tbs += element(0xA2, element(0x30, extensions))
    return element(0x30, element(0x30, tbs))


def printed(der):
    code, said = relying.run("openssl", "ocsp", "-respin", "/dev/stdin",
                             "-noverify", "-resp_text", stdin=der)
    assert code == 0, said
    return said


def status_of(der):
    """good, revoked or unknown; or the number of an error response."""
    if len(der) == 5:
        assert der[:4] == b"\x30\x03\x0a\x01", der
        return der[4]
    return re.search(r"Cert Status: (\w+)", printed(der))[1]


# ---- Certificates ----------------------------------------------------

class Known:
    """A certificate that is in the inventory, ready to be asked about."""

    def __init__(self, world, record, version):
        self.world, self.record, self.version = world, record, version
        self.id = record["id"]
        self.serial = version["serial_number"]
        self.leaf, *self.above = split_chain(version["pem_chain"])
        text = x509(self.leaf, "-text")
        self.crl_url = re.search(r"URI:(\S+/crl/\S+)", text)[1]
        self.ocsp_url = re.search(r"OCSP - URI:(\S+)", text)[1]
        self.ca_url = re.search(r"CA Issuers - URI:(\S+)", text)[1]
        self.name = self.ocsp_url.rsplit("/", 1)[1]

    def hierarchy(self, place):
        return relying.Hierarchy(place, self.leaf, *self.above)

    def revoke(self, reason=None, **kw):
        body = {} if reason is None else {"reason": reason}
        return self.world.api.post(f"/certificates/{self.id}/revoke",
                                   {**body, **kw})

    def id_of(self, algorithm=SHA256):
        return cert_id(self.above[0], self.serial, algorithm)

    def request(self, **kw):
        return ocsp_request([self.id_of()], **kw)

    def answered(self, pki):
        """Once a CA key is new, a worker has to make its responder."""
        wait_for(lambda: status_of(pki.ask(self.request())) != TRY_LATER,
                 what="the responder of a new CA")
        return self

    def listed(self, pki, name="iss-local", timeout=10):
        return wait_for(lambda: self.serial in serials_of(pki.crl(name)),
                        timeout, every=0.1, what="the entry on the CRL")


class Issued(Known):
    """One that an agent was given."""

    def __init__(self, world, agent, issuer="iss-local", key="P-256"):
        record = world.certificate(
            issuer_id=issuer, target_ids=[world.target(agent)["id"]])
        self.key, version = world.issue(agent, record, key)
        super().__init__(world, record, version)


def ca_files(stack, root, key="P-256"):
    """A sub-CA's files where the signer may read them."""
    place = stack.dir / "ca" / unique("sub")
    place.mkdir()
    root.sub_ca(place, unique("Sub-CA"), key)
    (place / "ca.key").chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(place / "ca.key", "bin")
    return {"ca_cert_path": str(place / "ca.crt"),
            "ca_key_path": str(place / "ca.key")}
