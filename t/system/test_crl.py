"""Lists in parts, lists of changes, and whose revocations are on them."""

import re

import pytest

import relying
from lib import ok, openssl, split_chain, wait_for, x509
from pki import Issued, ca_files, cert_id, number_of, ocsp_request, \
    serials_of, status_of

SHARDS = {"CERTCTL_CRL_SHARD_ENTRIES": "2", "CERTCTL_CRL_DELTA": "true",
          "CERTCTL_CRL_DEBOUNCE": "0s"}
OTHER_SCOPE = "different CRL scope"


class Lists:
    """What a CA has published by the time that its list was cut up."""

    def __init__(self, pki, world, agent):
        issuer = world.issuer()["id"]
        self.certs = [Issued(world, agent, issuer) for _ in range(5)]
        self.hold, self.early, self.late, self.good, self.other = self.certs
        self.pki, self.name = pki, self.hold.name
        # Different shards, so that one can be mistaken for the other.
        while self.shard(self.other) == self.shard(self.good):
            self.other = Issued(world, agent, issuer)
        self.base = self.once_revoked(certificateHold=self.hold,
                                      superseded=self.early,
                                      privilegeWithdrawn=self.other)
        ok(self.hold.revoke("removeFromCRL"))
        self.full = self.once_revoked(keyCompromise=self.late)
        assert self.hold.serial not in serials_of(self.full)
        # The files come one after the other.
        parts = [f"{self.name}/{scope}" for scope in
                 ["delta", *(f"shard-{n}" for n in range(64))]]
        self.delta, *self.shards = wait_for(
            lambda: self.all_of(map(pki.crl, parts)), 10, what="all lists")

    def all_of(self, parts):
        """PARTS, if all are as new as the list."""
        parts = list(parts)
        return {number_of(p) for p in parts} == {number_of(self.full)} \
            and parts

    def once_revoked(self, **certs):
        """The first list with CERTS on it, which are revoked by reason."""
        for reason, cert in certs.items():
            ok(cert.revoke(reason))
        for cert in certs.values():
            cert.listed(self.pki, self.name)
        return self.pki.crl(self.name)

    def shard(self, cert):
        """As its certificate names it."""
        return re.search(r"/crl/(\S+/shard-\d+)$", cert.crl_url)[1]


@pytest.fixture(scope="module")
def lists(stack, pki, world, agent):
    with stack.settings("workers", **SHARDS):
        yield Lists(pki, world, agent)
    # Other CAs have them now too.
    stack.sql("DELETE FROM crls WHERE scope <> 'full'")
    for part in (stack.dir / "crl").glob("*/*.crl"):
        part.unlink()


def verdict(place, cert, crls, *flags):
    """good, revoked, or what openssl verify has against CRLS."""
    place.mkdir(exist_ok=True)
    (place / "leaf.pem").write_text(cert.leaf)
    (place / "ca.pem").write_text(cert.above[0])
    (place / "crls.pem").write_bytes(b"".join(
        openssl("crl", "-inform", "DER", stdin=crl) for crl in crls))
    code, said = relying.run(
        "openssl", "verify", "-x509_strict", "-crl_check", *flags,
        "-CAfile", place / "ca.pem", "-CRLfile", place / "crls.pem",
        place / "leaf.pem")
    if code == 0:
        return "good"
    found = re.search(r"error \d+ at 0 depth lookup: *(.*)", said)
    return "revoked" if found[1] == "certificate revoked" else found[1]


def test_a_shard_is_for_the_certificates_that_name_it(lists, tmp_path):
    shards = {cert: lists.pki.crl(lists.shard(cert))
              for cert in (lists.late, lists.good, lists.other)}
    for flags in ((), ("-extended_crl",)):
        for cert, want in ((lists.late, "revoked"), (lists.good, "good"),
                           (lists.other, "revoked")):
            assert verdict(tmp_path, cert, [shards[cert]],
                           *flags) == want, flags
        # Critical: who does not know what it is for must not use it.
        assert verdict(tmp_path, lists.good, [shards[lists.other]],
                       *flags) == OTHER_SCOPE
    said = openssl("crl", "-inform", "DER", "-noout", "-text",
                   stdin=shards[lists.late]).decode()
    assert re.search(r"Issuing Distribution Point: critical\s+Full Name:\s+"
                     "URI:" + re.escape(lists.late.crl_url) + "\n", said)
    # The list that is whole says nothing of parts, and does for all.
    assert verdict(tmp_path, lists.late, [lists.full]) == "revoked"
    assert verdict(tmp_path, lists.good, [lists.full]) == "good"


def test_all_shards_together_are_the_whole_list(lists):
    together = [serials_of(shard) for shard in lists.shards]
    assert sum(map(len, together)) == len(serials_of(lists.full))
    assert {s: r for part in together for s, r in part.items()} == \
        serials_of(lists.full)


def test_a_delta_brings_an_older_list_up_to_date(lists, tmp_path):
    combined = [lists.base, lists.delta], "-extended_crl", "-use_deltas"
    for cert, alone, both in ((lists.late, "good", "revoked"),
                              (lists.hold, "revoked", "good"),
                              (lists.early, "revoked", "revoked"),
                              (lists.good, "good", "good")):
        assert verdict(tmp_path, cert, [lists.base]) == alone
        assert verdict(tmp_path, cert, *combined) == both
    # It is no list by itself.
    assert verdict(tmp_path, lists.good, [lists.delta]) not in (
        "good", "revoked")
    said = openssl("crl", "-inform", "DER", "-noout", "-text",
                   stdin=lists.delta).decode()
    assert "Delta CRL Indicator: critical" in said
    assert "Freshest CRL" not in said
    base = int(re.search(r"Delta CRL Indicator: critical\s+(\w+)", said)[1],
               0)
    assert base <= number_of(lists.base) < number_of(lists.delta) == \
        number_of(lists.full)
    said = openssl("crl", "-inform", "DER", "-noout", "-text",
                   stdin=lists.full).decode()
    assert re.search(r"Freshest CRL: \s*Full Name:\s+URI:"
                     + re.escape(f"{lists.pki.url}/crl/{lists.name}/delta"),
                     said)


def test_only_a_delta_takes_off_the_list(lists):
    assert serials_of(lists.delta)[lists.hold.serial] == "Remove From CRL"
    assert lists.hold.serial not in serials_of(lists.full)
    assert lists.hold.serial not in serials_of(
        lists.pki.crl(lists.shard(lists.hold)))


def test_other_programs_take_shards_and_deltas(lists, tmp_path):
    h = lists.late.hierarchy(tmp_path / "late")
    assert relying.java((h, "crl"), (lists.good.hierarchy(
        tmp_path / "good"), "crl")) == ["revoked", "good"]
    for crl in (lists.pki.crl(lists.shard(lists.late)), lists.delta,
                lists.full):
        code, said = relying.run(
            "certtool", "--verify-crl", "--load-ca-certificate",
            h.der("root"), "--inder", "--infile", h.add("any.crl", crl))
        assert code == 0 and "Verified." in said, said


# ---- Whose revocations -----------------------------------------------

def test_two_issuers_with_one_ca_have_one_list(stack, pki, world, agent,
                                               root):
    config = ca_files(stack, root)
    issuers = [world.issuer(config=config) for _ in range(2)]
    one, two = [Issued(world, agent, i["id"]).answered(pki)
                for i in issuers]
    assert one.name == two.name
    ok(one.revoke("keyCompromise"))
    ok(two.revoke("keyCompromise"))
    ids = [one.name] + [i["id"] for i in issuers]
    for name in ids:
        for cert in (one, two):
            cert.listed(pki, name)
            assert status_of(pki.ask(cert.request(), name)) == "revoked"
            assert status_of(pki.call(
                "GET", f"/ocsp/{name}/{cert.serial}").body) == "revoked"
        assert openssl("x509", "-inform", "DER", stdin=pki.call(
            "GET", f"/ca/{name}").body).decode() == one.above[0]
    assert len({pki.crl(name) for name in ids}) == 1
    rows = {r["issuer_id"]: r for r in ok(
        world.api.get("/admin/crl/cache"))["cache_rows"]}
    assert [rows[i["id"]]["revoked_count"] for i in issuers] == [2, 2]
    # The one goes elsewhere; the other stays, and so does the list.
    ok(world.api.put(f"/issuers/{issuers[0]['id']}", {
        "name": issuers[0]["name"], "type": "GenericCA", "enabled": True,
        "config": ca_files(stack, root)}))
    moved = Issued(world, agent, issuers[0]["id"]).answered(pki)
    stayed = Issued(world, agent, issuers[1]["id"])
    assert moved.name != stayed.name == two.name
    ok(stayed.revoke("keyCompromise"))
    stayed.listed(pki, issuers[1]["id"])
    assert one.serial in serials_of(pki.crl(issuers[1]["id"]))
    assert serials_of(pki.crl(issuers[0]["id"])) == {}


def test_a_certificate_too_short_to_revoke_is_not_listed(pki, world, agent):
    profile = world.profile(allow_short_lived=True, max_ttl_seconds=600)
    record = world.certificate(
        certificate_profile_id=profile["id"],
        target_ids=[world.target(agent)["id"]])
    _, version = world.issue(agent, record)
    leaf, ca = split_chain(version["pem_chain"])
    text = x509(leaf, "-text")
    assert "2.5.29.56" in text or "No Revocation Available" in text
    assert "/crl/" not in text and "OCSP" not in text
    ok(world.api.post(f"/certificates/{record['id']}/revoke",
                      {"reason": "keyCompromise"}))
    assert status_of(pki.ask(ocsp_request([cert_id(
        ca, version["serial_number"])]))) == "revoked"
    other = Issued(world, agent)
    ok(other.revoke("keyCompromise"))
    other.listed(pki)
    assert version["serial_number"] not in serials_of(pki.crl())
