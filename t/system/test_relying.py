"""What programs of other makers say of certificates of every origin."""

import concurrent.futures
import contextlib
import shutil
import signal
import subprocess
import time
import urllib.parse

import pytest

import relying
from est import Est, request
from lib import (fingerprint_of, listed, ok, openssl, query,
                 served_certificate, unique, wait_for)
from pki import Issued, Known
from stack import free_ports

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("certtool", "ocsptool", "pki", "vfychain",
                               "crlutil", "java"))),
    reason="programs of other makers are not installed")


# ---- A site whose server staples -------------------------------------

class Site:
    """An NGINX whose certificate the real agent brings, and that shows the
    OCSP answer for it."""

    def __init__(self, stack, world, place):
        self.place, self.world = place, world
        place.chmod(0o755)
        self.port, = free_ports(1)
        shutil.copy(stack.dir / "etc/est-ca.pem", place / "root.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=none yet",
                "-keyout", f"{place}/key", "-out", f"{place}/crt")
        (place / "conf").write_text(f"""
worker_processes 1;
daemon off;
pid {place}/pid;
error_log {place}/log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    fastcgi_temp_path {place}/fastcgi;
    proxy_temp_path {place}/proxy;
    scgi_temp_path {place}/scgi;
    uwsgi_temp_path {place}/uwsgi;
    server {{
        listen 127.0.0.1:{self.port} ssl;
        ssl_certificate {place}/crt;
        ssl_certificate_key {place}/key;
        ssl_stapling on;
        ssl_stapling_verify on;
        ssl_trusted_certificate {place}/root.pem;
    }}
}}
""")
        self.process = None
        self.start()

    def start(self):
        with open(self.place / "out", "wb") as out:
            self.process = subprocess.Popen(
                ["/usr/sbin/nginx", "-e", self.place / "log", "-c",
                 self.place / "conf"], stdout=out, stderr=out)
        wait_for(self.served, what="the site")

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(10)
            self.process = None

    def target(self):
        agent = wait_for(lambda: next(
            (a for a in self.world.get("/agents" + query(
                status="Online", per_page=500))["data"]
             if a["name"] == "demo-agent"), None), 90, what="the agent")
        nginx = f"/usr/sbin/nginx -e {self.place}/log -c {self.place}/conf"
        return ok(self.world.api.post("/targets", {
            "name": unique("stapling"), "type": "NGINX",
            "agent_id": agent["id"], "config": {
                "cert_path": f"{self.place}/crt",
                "key_path": f"{self.place}/key",
                "validate_command": nginx + " -t",
                "reload_command": nginx + " -s reload",
                "host": "localhost", "port": self.port}}), 201)

    def served(self):
        with contextlib.suppress(OSError):
            return served_certificate("127.0.0.1", self.port)

    def stapled(self):
        """What openssl s_client -status is shown."""
        _, said = relying.run(
            "openssl", "s_client", "-connect", f"localhost:{self.port}",
            "-status", "-CAfile", self.place / "root.pem", stdin=b"")
        return said


@pytest.fixture(scope="module")
def site(stack, world, tmp_path_factory):
    # Below the stack, where the agent and NGINX may both go.
    s = Site(stack, world, tmp_path_factory.mktemp("site"))
    try:
        yield s
    finally:
        s.stop()


def deployed(world, site):
    """Made, installed and shown to the world by the real agent."""
    record = world.certificate(common_name="localhost", sans=["localhost"],
                               target_ids=[site.target()["id"]])
    world.renew(record)
    version = wait_for(lambda: world.versions(record), 60,
                       what="the agent's certificate")[0]
    wait_for(lambda: fingerprint_of(site.served())
             == version["fingerprint_sha256"], 30, what="its deployment")
    return Known(world, record, version)


# ---- Every origin ----------------------------------------------------

def enrolled(stack, world, label):
    """Handed out by EST."""
    name = unique("dev")
    est = Est(stack, stack.est.rsplit("/", 1)[0] + "/" + label,
              "est:" + stack.env["CERTCTL_EST_PASSWORD"])
    cert = est.enroll(request(name)[1]).cert
    record, = [c for c in listed(world.api.get("/certificates" + query(
        per_page=500, sort="-created_at")))["data"]
        if c["common_name"] == name]
    known = Known(world, record, world.versions(record)[0])
    assert known.leaf == cert
    return known


@pytest.fixture(scope="module")
def origins(stack, world, agent, levels, site, pki):
    # The workers have opened an issuer once they issued by it.
    found = {
        "an agent, two levels": Issued(world, agent, levels["a root"],
                                       "RSA-2048"),
        "an agent, three levels": Issued(
            world, agent, levels["a root and a policy CA"]),
        "an agent": deployed(world, site),
    }
    prefix = "CERTCTL_EST_PROFILE_BELOW_"
    with stack.settings("est", CERTCTL_EST_PROFILES="demo,below", **{
            prefix + "ISSUER_ID": levels["a root and a policy CA"],
            prefix + "ALLOWED_AUTH_MODES": "basic",
            prefix + "ENROLLMENT_PASSWORD":
                stack.env["CERTCTL_EST_PASSWORD"]}):
        found |= {
            "EST": enrolled(stack, world, "demo"),
            "EST, three levels": enrolled(stack, world, "below"),
        }
    for one in found.values():
        wait_for(lambda: pki.call("GET", f"/crl/{one.name}").status == 200,
                 what="the first CRL of a new CA")
        wait_for(lambda: pki.call("GET", f"/ocsp/{one.name}/{one.serial}")
                 .headers["Cache-Control"] != "no-store",
                 what="the responder of a new CA")
    return found


class Jury:
    """What every program says of every certificate."""

    def __init__(self, origins, pki, files, place):
        self.origins, self.pki, self.files = origins, pki, files
        self.h = {name: one.hierarchy(place / name.replace(" ", "-"))
                  for name, one in origins.items()}

    def about(self, name):
        h, one = self.h[name], self.origins[name]
        crl, above = self.pki.crl(one.name), list(self.files.values())
        return {
            "openssl crl": relying.openssl_crl(h, [crl]),
            "openssl crl of all": relying.openssl_crl(h, [crl, *above],
                                                      every=True),
            "openssl ocsp": relying.openssl_ocsp(h, one.ocsp_url),
            "openssl ocsp sha256": relying.openssl_ocsp(
                h, one.ocsp_url, "-sha256", "-no_nonce"),
            "gnutls crl": relying.gnutls_crl(h, crl),
            "gnutls ocsp": relying.gnutls_ocsp(h, one.ocsp_url),
            "strongswan crl": relying.strongswan_crl(h, crl),
            "nss crl": relying.nss_crl(h, crl),
            "nss ocsp": relying.nss_ocsp(h),
        }

    def verdicts(self):
        checks = [(name, how) for name in self.h for how in ("crl", "ocsp")]
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            java = pool.submit(relying.java, *[
                (self.h[name], how) for name, how in checks])
            found = dict(zip(self.h, pool.map(self.about, self.h)))
        for (name, how), verdict in zip(checks, java.result()):
            found[name]["java " + how] = verdict
        return found

    def agree(self, verdict):
        found = self.verdicts()
        assert {v for said in found.values() for v in said.values()} == \
            {verdict}, found


def test_all_accept_them_and_see_them_revoked(origins, pki, root, site,
                                              tmp_path):
    jury = Jury(origins, pki, root.files.files, tmp_path)
    assert {name: len(h.names) for name, h in jury.h.items()} == {
        "EST": 2, "EST, three levels": 4, "an agent": 2,
        "an agent, two levels": 3, "an agent, three levels": 4}
    jury.agree("good")
    wait_for(lambda: "Cert Status: good" in site.stapled(), every=0.3,
             what="a stapled answer")
    assert "OCSP Response Status: successful (0x0)" in site.stapled()
    assert "Verify return code: 0 (ok)" in site.stapled()
    asked_at = time.monotonic()
    for one in origins.values():
        ok(one.revoke("keyCompromise"))
    for name, one in origins.items():
        assert relying.openssl_ocsp(jury.h[name], one.ocsp_url) == "revoked"
    for one in origins.values():
        one.listed(pki, one.name)
    # What a web server may keep of an OCSP GET.
    time.sleep(max(0, asked_at + 6.5 - time.monotonic()))
    jury.agree("revoked")
    # NGINX staples no such answer, and says why.
    site.stop()
    site.start()
    wait_for(lambda: site.stapled() and 'certificate status "revoked"' in
             (site.place / "log").read_text(), what="NGINX's complaint")
    assert "OCSP response: no response sent" in site.stapled()


def test_what_aia_and_https_lead_to(origins, pki, api):
    for one in origins.values():
        path = urllib.parse.urlsplit(one.crl_url).path
        assert api.call("GET", path).body == pki.crl(one.name)
        ca = pki.call("GET", f"/ca/{one.name}.cer")
        assert one.ca_url == f"{pki.url}/ca/{one.name}.cer"
        assert ca.headers["Content-Type"] == "application/pkix-cert"
        assert openssl("x509", "-inform", "DER", stdin=ca.body).decode() \
            == one.above[0]


# ---- The commands, as they are printed -------------------------------

COMMANDS = r"""
curl -sSD- -o c.crl $B/crl/$N
    200 .*application/pkix-crl
openssl crl -inform DER -in c.crl -noout -text -CAfile ca.pem
    verify OK.*Version 2.*Authority Key Identifier.*CRL Number
E=$(curl -sI $B/crl/$N | tr -d '\r' | awk 'tolower($1)=="etag:"{print $2}'); curl -so/dev/null -w '%{http_code}\n' -H "If-None-Match: $E" $B/crl/$N
    ^304$
openssl crl -inform DER -in c.crl -out c.pem
    ^$
openssl verify -CAfile ca.pem -CRLfile c.pem -crl_check leaf.pem
    leaf.pem: OK | !certificate revoked
certtool --verify-crl --load-ca-certificate ca.pem --infile c.pem
    Verified.
certtool --verify-crl --load-ca-certificate ca.der --inder --infile c.crl
    Verified.
pki --verify --in leaf.der --cacert ca.pem --crl c.crl
    certificate trusted, lifetimes valid, certificate not revoked | !certificate was revoked
openssl ocsp -issuer ca.pem -cert leaf.pem -url $B/ocsp/$N -CAfile ca.pem -resp_text
    Response verify OK.*leaf.pem: good | Response verify OK.*leaf.pem: revoked
openssl ocsp -sha256 -issuer ca.pem -cert leaf.pem -url $B/ocsp/$N -CAfile ca.pem -no_nonce
    Response verify OK.*leaf.pem: good | Response verify OK.*leaf.pem: revoked
openssl ocsp -issuer ca.pem -cert leaf.pem -cert other.pem -serial 0x1234 -url $B/ocsp/$N -CAfile ca.pem
    Response verify OK.*leaf.pem: good.*other.pem: good.*0x1234: unknown | Response verify OK.*leaf.pem: revoked.*other.pem: good.*0x1234: unknown
ocsptool --ask=$B/ocsp/$N --load-issuer ca.pem --load-cert leaf.pem --load-trust ca.pem --nonce
    Certificate Status: good.*Verifying OCSP Response: Success | Certificate Status: revoked.*Verifying OCSP Response: Success
openssl ocsp -no_nonce -issuer ca.pem -cert leaf.pem -reqout q.der
    ^$
curl -sSD- -o r.der "$B/ocsp/$N/$(base64 -w0 q.der | sed 's/+/%2B/g;s#/#%2F#g;s/=/%3D/g')"
    200 .*application/ocsp-response
openssl ocsp -respin r.der -issuer ca.pem -cert leaf.pem -CAfile ca.pem -no_nonce
    Response verify OK.*leaf.pem: good | Response verify OK.*leaf.pem: revoked
openssl ocsp -respin r.der -noverify -resp_text | openssl x509 -noout -text | grep -A1 -E 'OCSP (Signing|No Check)'
    OCSP Signing.*OCSP No Check
head -c 40 /dev/urandom | curl -sS -H 'Content-Type: application/ocsp-request' --data-binary @- $B/ocsp/$N | xxd
    3003 0a01 01
"""


def test_the_printed_commands(pki, world, agent, tmp_path):
    one, other = (Issued(world, agent) for _ in range(2))
    for name, text in (("leaf", one.leaf), ("other", other.leaf),
                       ("ca", one.above[0])):
        (tmp_path / f"{name}.pem").write_text(text)
        openssl("x509", "-outform", "DER", "-in", f"{tmp_path}/{name}.pem",
                "-out", f"{tmp_path}/{name}.der")
    env = {"B": pki.url, "N": "iss-local"}
    wait_for(lambda: pki.call("GET", "/crl/iss-local").headers["ETag"][0]
             == '"', what="a strong tag")
    relying.run_printed(COMMANDS, tmp_path, **env)
    asked_at = time.monotonic()
    ok(one.revoke("keyCompromise"))
    one.listed(pki)
    time.sleep(max(0, asked_at + 6.5 - time.monotonic()))
    wait_for(lambda: pki.call("GET", "/crl/iss-local").headers["ETag"][0]
             == '"', what="a strong tag")
    relying.run_printed(COMMANDS, tmp_path, revoked=True, **env)
