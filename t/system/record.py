"""What was signed, as the signer recorded it, and whether all else agrees."""

import base64
import hashlib
import json

from lib import _tlv


def records(stack):
    """The record of signatures, its chain checked."""
    text = (stack.dir / "signer/signer/audit.log").read_text()
    previous, found = "0" * 64, []
    for line in text.splitlines():
        if line.endswith("}"):
            found.append(json.loads(line))
            assert found[-1]["prev"] == previous
        previous = hashlib.sha256(line.encode()).hexdigest()
    return found


def tbs_of(signed):
    """SHA-256 of what is signed in a certificate or CRL, DER."""
    begin, _ = _tlv(signed)
    _, end = _tlv(signed, begin)
    return hashlib.sha256(signed[begin:end]).hexdigest()


def first_der(pem):
    body = pem.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0]
    return base64.b64decode(body)


def check(stack, certificates=(), crls=()):
    """What the database and clients hold was recorded before it was signed,
    what was signed was meant to be, and CRL numbers only rose.

    CERTIFICATES (PEM) and CRLS (DER) are what clients were given.
    """
    found, db = records(stack), stack.sql
    signed = {kind: {r["tbs"] for r in found if r["kind"] == kind}
              for kind in ("ca", "certificate", "ocsp", "crl")}
    intents = {tbs for tbs, in db("SELECT tbs_sha256 FROM issuance_intents")}
    assert signed["certificate"] <= intents, "signed without an intent"

    def stored(column, table):
        return [base64.b64decode(row) for row, in db(
            f"SELECT translate(encode(convert_to({column}, 'UTF8'), "
            f"'base64'), chr(10), '') FROM {table}")]

    versions = {tbs_of(first_der(p.decode())) for p in stored(
        "pem_chain", "certificate_versions WHERE ca_key_id IS NOT NULL")}
    assert versions <= signed["certificate"], "stored, but never recorded"
    assert {tbs_of(first_der(p)) for p in certificates} <= \
        versions, "a client has what the inventory does not know"
    assert {tbs_of(first_der(p.decode())) for p in stored(
        "cert_pem", "ocsp_responders")} <= signed["ocsp"]
    lists = [bytes.fromhex(der) for der, in db(
        "SELECT encode(der, 'hex') FROM crls")]
    assert {tbs_of(der) for der in [*lists, *crls]} <= signed["crl"]
    last = {}
    for r in found:
        if r["kind"] == "crl":
            number = int(r["number"], 16)
            assert number >= last.get(r["key"], 0), r
            last[r["key"]] = number
    return found
