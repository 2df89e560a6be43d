"""The main job: ordered, issued, deployed, proven live, renewed."""

import pathlib
import statistics
import threading
import time
import urllib.parse

import pytest

from lib import (fingerprint_of, make_csr, ok, openssl, public_key_of, query,
                 serial_of, served_certificate, split_chain, verify_chain,
                 wait_for, x509)
from oldagent import CustomerSite, OldAgent

SANS = ["localhost", "www.localhost"]


# ---- An agent of the installed base ----------------------------------

@pytest.fixture
def customer(tmp_path):
    site = CustomerSite(tmp_path)
    yield site
    site.close()


@pytest.mark.parametrize("trailing_slash", [False, True])
def test_an_old_agent_does_the_whole_job(world, anon, customer, tmp_path,
                                         trailing_slash):
    made = world.agent()
    agent = OldAgent(anon, made.id, made.key, tmp_path, trailing_slash)
    target = world.target(made, config=customer.config())
    certificate = world.certificate(common_name="localhost", sans=SANS,
                                    target_ids=[target["id"]])
    serials = []
    for turn in ("Issuance", "Renewal"):
        job = world.renew(certificate)["job_id"]
        assert world.job_now(job)["type"] == turn
        agent.heartbeat()
        agent.poll()
        wait_for(lambda: world.certificate_now(certificate)["status"]
                 == "Active", 15, what="issuance")
        agent.poll()
        assert agent.log == []
        version = world.versions(certificate)[0]
        served = served_certificate("127.0.0.1", customer.port)
        assert fingerprint_of(served) == version["fingerprint_sha256"]
        serials.append(serial_of(served))
        assert serials[-1] == version["serial_number"].lstrip("0")
        deployment, = [j for j in world.jobs_of(certificate, type="Deployment")
                       if j["verification_fingerprint"]
                       == version["fingerprint_sha256"]]
        assert deployment["status"] == "Completed"
        assert deployment["verification_status"] == "success"
        verify_chain(version["pem_chain"], "www.localhost")
    assert serials[0] != serials[1]
    assert agent.failures == 0


def test_an_old_agents_failed_probe_does_not_fail_its_deployment(
        world, anon, customer, tmp_path):
    made = world.agent()
    agent = OldAgent(anon, made.id, made.key, tmp_path)
    target = world.target(made, config=customer.config())
    certificate = world.certificate(target_ids=[target["id"]])
    customer.close()
    world.renew(certificate)
    agent.poll()
    wait_for(lambda: world.versions(certificate), 15, what="issuance")
    agent.poll()
    assert agent.log == []
    job, = world.jobs_of(certificate, type="Deployment")
    assert job["status"] == "Completed"
    assert job["verification_status"] == "failed"
    assert job["verification_error"]


def test_an_old_agent_ends_when_it_is_retired(world, anon, tmp_path):
    made = world.agent()
    agent = OldAgent(anon, made.id, made.key, tmp_path)
    ok(world.api.delete("/agents/" + made.id))
    agent.heartbeat()
    assert agent.retired
    agent.retired = False
    agent.poll()
    assert agent.retired and agent.failures == 0


# ---- What is issued --------------------------------------------------

def test_a_leaf_is_what_the_rfc_and_the_profile_say(world):
    profile = world.profile(allowed_ekus=["serverAuth", "clientAuth"],
                            max_ttl_seconds=86400)
    agent, _, certificate = world.site(
        common_name="localhost", certificate_profile_id=profile["id"],
        sans=["localhost", "10.1.2.3", "2001:db8::7", "ops@example.org",
              "spiffe://example.org/web"])
    world.renew(certificate)
    key, csr = make_csr("localhost", [
        "DNS:localhost", "IP:10.1.2.3", "IP:2001:db8::7",
        "email:ops@example.org", "URI:spiffe://example.org/web"])
    ok(agent.submit(csr, certificate["id"]), 202)
    version, = wait_for(lambda: world.versions(certificate))
    leaf = split_chain(version["pem_chain"])[0]
    assert public_key_of(leaf, "x509") == public_key_of(key, "pkey")
    names = x509(leaf, "-ext", "subjectAltName")
    for name in ("DNS:localhost", "IP Address:10.1.2.3",
                 "IP Address:2001:DB8:0:0:0:0:0:7", "email:ops@example.org",
                 "URI:spiffe://example.org/web"):
        assert name in names
    text = x509(leaf, "-text")
    assert "TLS Web Server Authentication, TLS Web Client" in text
    assert "CA:FALSE" in text
    assert "Digital Signature" in text and "Key Encipherment" not in text
    assert "ecdsa-with-SHA256" in text
    assert fingerprint_of(leaf) == version["fingerprint_sha256"]
    assert serial_of(leaf) == version["serial_number"].lstrip("0")
    assert 64 <= int(serial_of(leaf), 16).bit_length() <= 159
    lifetime = openssl("x509", "-noout", "-checkend", "86401",
                       stdin=leaf.encode(), check=False)
    assert lifetime.returncode == 1, "outlives the profile"
    verify_chain(version["pem_chain"], "localhost")


@pytest.mark.parametrize("key,algorithm,size", [
    ("RSA-2048", "RSA", 2048), ("P-384", "ECDSA", 384)])
def test_other_keys_are_certified_too(world, key, algorithm, size):
    agent, _, certificate = world.site()
    _, version = world.issue(agent, certificate, key)
    assert (version["key_algorithm"], version["key_size"]) == (algorithm,
                                                               size)
    verify_chain(version["pem_chain"])


def test_a_ca_of_files_issues_below_itself(world, sub_ca):
    issuer = world.issuer(config=sub_ca)
    agent, _, certificate = world.site(issuer_id=issuer["id"])
    _, version = world.issue(agent, certificate)
    assert "Test Issuing CA" in x509(version["pem_chain"], "-issuer")
    verify_chain(version["pem_chain"])


def test_a_self_made_ca_is_made_once_and_kept(world, stack):
    issuer = world.issuer()
    agent, target, first = world.site(issuer_id=issuer["id"])
    _, one = world.issue(agent, first)
    stack.restart("workers")
    second = world.certificate(issuer_id=issuer["id"],
                               target_ids=[target["id"]])
    _, other = world.issue(agent, second)
    assert split_chain(one["pem_chain"])[-1] == \
        split_chain(other["pem_chain"])[-1]


# ---- Our own agent and a customer's NGINX ----------------------------

class Live:
    """The agent and the site that t/stack runs, and a target between."""

    def __init__(self, world, stack):
        self.world, self.stack = world, stack
        self.agent = wait_for(self._online, 90, what="the agent online")
        site = stack.dir / "site"
        self.port = urllib.parse.urlsplit(stack.site).port
        nginx = f"/usr/sbin/nginx -c {site}/nginx.conf"
        self.target = ok(world.api.post("/targets", {
            "name": f"site-{time.time_ns()}", "type": "NGINX",
            "agent_id": self.agent["id"], "config": {
                "cert_path": f"{site}/site.crt",
                "key_path": f"{site}/site.key",
                "validate_command": nginx + " -t",
                "reload_command": nginx + " -s reload",
                "post_deploy_verify": {
                    "enabled": True, "endpoint": f"localhost:{self.port}"},
                "host": "localhost", "port": self.port}}), 201)

    def _online(self):
        rows = self.world.get("/agents" + query(
            status="Online", per_page=500))["data"]
        return next((r for r in rows if r["name"] == "demo-agent"), None)

    def certificate(self, **over):
        return self.world.certificate(
            common_name="localhost", sans=SANS,
            target_ids=[self.target["id"]], **over)

    def served(self):
        return served_certificate("localhost", self.port)

    def newest_is_served(self, certificate):
        versions = self.world.versions(certificate)
        return versions and fingerprint_of(self.served()) == \
            versions[0]["fingerprint_sha256"] and versions[0]

    def private_keys(self):
        """Every private key the agent keeps, by its public key."""
        found = {}
        for path in pathlib.Path(self.stack.dir, "agent").rglob("*"):
            if path.is_file() and b"PRIVATE KEY-----" in path.read_bytes():
                found[public_key_of(path.read_text(), "pkey")] = path
        return found


@pytest.fixture(scope="module")
def live(world, stack):
    return Live(world, stack)


def test_ordered_issued_and_live_within_five_seconds(world, live):
    taken = []
    for _ in range(5):
        started = time.monotonic()
        certificate = live.certificate()
        world.renew(certificate)
        wait_for(lambda: live.newest_is_served(certificate), 30,
                 what="the new certificate on the site")
        taken.append(time.monotonic() - started)
    assert statistics.median(taken) < 5, taken


def test_a_deployment_is_completed_and_verified(world, live):
    certificate = live.certificate()
    world.renew(certificate)
    wait_for(lambda: live.newest_is_served(certificate), 30)
    job = wait_for(lambda: next((j for j in world.jobs_of(
        certificate, type="Deployment") if j["status"] == "Completed"), None))
    assert job["verification_status"] == "success"
    assert job["target_id"] == live.target["id"]
    version = world.versions(certificate)[0]
    assert job["verification_fingerprint"] == version["fingerprint_sha256"]


def test_a_renewal_wipes_the_key_before(world, live):
    certificate = live.certificate()
    keys = []
    for _ in range(2):
        world.renew(certificate)
        version = wait_for(lambda: live.newest_is_served(certificate) if
                           world.certificate_now(certificate)["status"]
                           == "Active" else None, 30)
        keys.append(public_key_of(version["pem_chain"], "x509"))
        wait_for(lambda: {j["status"] for j in world.jobs_of(
            certificate, type="Deployment")} == {"Completed"}, 15)
    assert keys[0] != keys[1], "the old key was used again"
    wait_for(lambda: keys[0] not in live.private_keys(), 15,
             what="the end of the old key")
    path = live.private_keys()[keys[1]]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_served_key_follows_the_profile(world, live):
    profile = world.profile(allowed_key_algorithms=[
        {"algorithm": "RSA", "min_size": 2048}])
    certificate = live.certificate(certificate_profile_id=profile["id"])
    world.renew(certificate)
    version = wait_for(lambda: live.newest_is_served(certificate), 30)
    assert version["key_algorithm"] == "RSA"


# ---- Several workers -------------------------------------------------

def test_two_workers_issue_each_renewal_exactly_once(world, db):
    agent = world.agent()
    target = world.target(agent)["id"]
    certificates = [world.certificate(target_ids=[target])
                    for _ in range(40)]
    csrs = [make_csr(c["common_name"], c["sans"])[1] for c in certificates]
    for certificate in certificates:
        world.renew(certificate)
    client = agent.client

    def submit(mine):
        other = client.with_key(agent.key)
        for certificate, csr in mine:
            ok(other.post(agent.path + "/csr", {
                "csr_pem": csr, "certificate_id": certificate["id"]}), 202)

    pairs = list(zip(certificates, csrs))
    threads = [threading.Thread(target=submit, args=(pairs[n::4],))
               for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = ",".join(f"'{c['id']}'" for c in certificates)
    issued = "SELECT count(*), count(DISTINCT certificate_id) FROM "
    wait_for(lambda: db(
        f"SELECT count(*) FROM managed_certificates WHERE id IN ({ids}) "
        "AND status = 'Active'") == [["40"]], 30, what="40 issued")
    assert db(issued + f"certificate_versions WHERE certificate_id IN ({ids})"
              ) == [["40", "40"]]
    assert db(issued + f"issuance_intents WHERE certificate_id IN ({ids}) "
              "AND resolved_at IS NOT NULL") == [["40", "40"]]
    assert db("SELECT count(*), max(attempts) FROM jobs WHERE type = "
              f"'Issuance' AND certificate_id IN ({ids})") == [["40", "1"]]
    assert db(issued + "jobs WHERE type = 'Deployment' AND "
              f"certificate_id IN ({ids})") == [["40", "40"]]
