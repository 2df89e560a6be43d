"""What the system tests share: a client, an agent, and things made quickly.

Nothing here asserts what a test is about; it fails only when the ground a
test stands on is missing.
"""

import base64
import http.client
import itertools
import json
import re
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse

API = "/api/v1"
NEVER = "0001-01-01T00:00:00Z"
MASK = "********"
SECURITY_HEADERS = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer-when-downgrade",
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; "
        "style-src 'self' 'unsafe-inline'; script-src 'self'; "
        "connect-src 'self'; frame-ancestors 'none'"),
}
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                   r"[0-9a-f]{12}")

_counter = itertools.count(1)


def unique(prefix):
    """A name nobody has used, in this run or in one before it."""
    return f"{prefix}-{time.time_ns() // 1000}-{next(_counter)}"


def wait_for(probe, timeout=10.0, every=0.05, what="the condition"):
    """The first true value PROBE returns; fails after TIMEOUT seconds."""
    end = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < end, \
            f"{what}: not within {timeout} s, last seen: {value!r}"
        time.sleep(every)


class Reply:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        assert self.headers.get("content-type", "").startswith(
            "application/json"), (self.status, self.headers, self.body)
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


class Client:
    """HTTPS with one key.  A connection per call, or one that is kept."""

    def __init__(self, url, ca, key=None, keep=False):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port or 443
        self.ca, self.key, self.keep = ca, key, keep
        self.tls = ssl.create_default_context(cafile=ca)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self.connection = None

    def with_key(self, key):
        other = Client.__new__(Client)
        other.__dict__.update(self.__dict__, key=key, connection=None)
        return other

    def _connect(self):
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(
                self.host, self.port, context=self.tls, timeout=30)
        return self.connection

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def call(self, method, path, body=None, headers=None, **request):
        """One request; BODY is bytes as they are, or a value for JSON."""
        head = {} if self.keep else {"Connection": "close"}
        if self.key is not None:
            head["Authorization"] = "Bearer " + self.key
        if body is not None and not isinstance(body, bytes) and \
                not request.get("encode_chunked"):
            body = json.dumps(body).encode()
            head["Content-Type"] = "application/json"
        head.update(headers or {})
        head = {k: v for k, v in head.items() if v is not None}
        connection = self._connect()
        try:
            try:
                connection.request(method, path, body, head, **request)
            except (BrokenPipeError, ConnectionResetError,
                    ssl.SSLEOFError):
                pass    # a server may refuse before it has read all
            response = connection.getresponse()
            return Reply(response, response.read())
        finally:
            if not self.keep:
                self.close()

    def get(self, path, **kw):
        return self.call("GET", API + path, **kw)

    def post(self, path, body=None, **kw):
        return self.call("POST", API + path, body, **kw)

    def put(self, path, body=None, **kw):
        return self.call("PUT", API + path, body, **kw)

    def delete(self, path, **kw):
        return self.call("DELETE", API + path, **kw)

    def raw(self, data, timeout=30):
        """Send DATA as it is over TLS; all that comes back."""
        with socket.create_connection((self.host, self.port),
                                      timeout=timeout) as plain, \
                self.tls.wrap_socket(plain, server_hostname=self.host) as s:
            s.sendall(data)
            chunks = []
            while True:
                try:
                    chunk = s.recv(65536)
                except (ConnectionResetError, socket.timeout, ssl.SSLError):
                    break
                if not chunk:
                    break
                chunks.append(chunk)
        return b"".join(chunks)


def ok(reply, status=200):
    """The JSON of a reply that had to succeed; None for 204."""
    assert reply.status == status, reply
    if status == 204:
        assert reply.body == b"", reply
        return None
    return reply.json


def refused(reply, status):
    """The message of a refusal in the error envelope."""
    assert reply.status == status, reply
    body = reply.json
    assert set(body) <= {"error", "message", "request_id"}, body
    assert body["error"] and body["message"], body
    assert "\n" not in body["message"], body
    return body["message"]


def listed(reply, cursor=False):
    """The page of a list reply, its envelope checked."""
    page = ok(reply)
    want = {"data", "total", "page", "per_page"}
    if cursor:
        want = {"data", "total", "page_size"}
        assert set(page) - {"next_cursor"} == want, page.keys()
    else:
        assert set(page) == want, page.keys()
    assert isinstance(page["data"], list)
    return page


def query(**parameters):
    return "?" + urllib.parse.urlencode(parameters)


# ---- OpenSSL, by its command line ------------------------------------

KEYS = {
    "P-256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "P-384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "P-192": ["ec", "-pkeyopt", "ec_paramgen_curve:prime192v1"],
    "RSA-1024": ["rsa:1024"],
    "RSA-2048": ["rsa:2048"],
}


def openssl(*args, stdin=None, check=True):
    done = subprocess.run(["openssl", *args], capture_output=True,
                          input=stdin, timeout=60)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done.stdout if check else done


def make_csr(common_name, sans=(), key="P-256", subject=None, extra=()):
    """(private key, request), both PEM text."""
    with tempfile.TemporaryDirectory() as d:
        names = [s if ":" in s else ("email:" if "@" in s else "DNS:") + s
                 for s in sans]
        if names:
            extra = ["-addext", "subjectAltName=" + ",".join(names), *extra]
        openssl("req", "-new", "-newkey", *KEYS[key], "-nodes", "-keyout",
                d + "/key", "-out", d + "/csr", "-subj",
                subject or "/CN=" + common_name, *extra)
        with open(d + "/key") as k, open(d + "/csr") as c:
            return k.read(), c.read()


def pem(kind, der):
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {kind}-----\n{text}-----END {kind}-----\n"


def der_of(csr):
    return openssl("req", "-outform", "DER", stdin=csr.encode())


def _tlv(der, at=0):
    """(where its contents begin, where it ends) of the element at AT."""
    length, begin = der[at + 1], at + 2
    if length & 0x80:
        n = length & 0x7F
        length, begin = int.from_bytes(der[begin:begin + n], "big"), begin + n
    return begin, begin + length


def _element(tag, contents):
    n = len(contents)
    octets = n.to_bytes((n.bit_length() + 7) // 8, "big")
    size = bytes([n]) if n < 128 else bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + size + contents


def resigned(csr, key, old, new):
    """CSR with the octets OLD made NEW and a signature that is right.

    NEW is as long as OLD, so no length within changes.
    """
    der = der_of(csr)
    begin, _ = _tlv(der)
    _, end = _tlv(der, begin)
    info = der[begin:end].replace(old, new)
    _, end_of_algorithm = _tlv(der, end)
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(key)
        f.flush()
        signature = openssl("dgst", "-sha256", "-sign", f.name, stdin=info)
    return pem("CERTIFICATE REQUEST", _element(
        0x30, info + der[end:end_of_algorithm]
        + _element(0x03, b"\0" + signature)))


def x509(pem, *what):
    """What openssl x509 says of the first certificate of PEM."""
    return openssl("x509", "-noout", *what, stdin=pem.encode()).decode()


def serial_of(pem):
    """Lower-case hex without leading zeros."""
    text = x509(pem, "-serial").strip().split("=")[1]
    return text.lower().lstrip("0")


def fingerprint_of(pem):
    text = x509(pem, "-fingerprint", "-sha256").strip().split("=")[1]
    return text.replace(":", "").lower()


def public_key_of(pem, kind):
    """The public key of a certificate, private key or request, as PEM."""
    args = {"x509": ["x509", "-noout", "-pubkey"],
            "pkey": ["pkey", "-pubout"],
            "req": ["req", "-noout", "-pubkey"]}[kind]
    return openssl(*args, stdin=pem.encode()).decode()


def split_chain(pem):
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?"
                      r"-----END CERTIFICATE-----\n?", pem, re.S)


def verify_chain(pem, host=None):
    """Leaf against the rest of PEM as trust anchor and intermediates."""
    leaf, *rest = split_chain(pem)
    assert rest, "the chain has no issuer certificate"
    with tempfile.TemporaryDirectory() as d:
        for name, text in (("leaf", leaf), ("ca", "".join(rest))):
            with open(f"{d}/{name}", "w") as f:
                f.write(text)
        args = ["-verify_hostname", host] if host else []
        openssl("verify", "-x509_strict", "-purpose", "sslserver", *args,
                "-CAfile", d + "/ca", d + "/leaf")


def served_certificate(host, port, timeout=5):
    """The PEM of the leaf a TLS server shows, whoever signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection((host, port), timeout=timeout) as plain, \
            context.wrap_socket(plain, server_hostname=host) as s:
        return ssl.DER_cert_to_PEM_cert(s.getpeercert(binary_form=True))


# ---- An agent's side of the API --------------------------------------

class Agent:
    """The calls an agent makes with its own key."""

    def __init__(self, client, made, key=None):
        self.id, self.name = made["id"], made["name"]
        self.key = key or made["api_key"]
        self.client = client.with_key(self.key)
        self.path = "/agents/" + self.id

    def heartbeat(self, **fields):
        return self.client.post(self.path + "/heartbeat", fields)

    def work(self):
        return self.client.get(self.path + "/work")

    def jobs(self):
        return ok(self.work())["jobs"]

    def submit(self, csr, certificate_id=None):
        body = {"csr_pem": csr}
        if certificate_id is not None:
            body["certificate_id"] = certificate_id
        return self.client.post(self.path + "/csr", body)

    def fetch(self, certificate_id):
        return self.client.get(f"{self.path}/certificates/{certificate_id}")

    def report(self, job_id, status, error=None):
        body = {"status": status}
        if error is not None:
            body["error"] = error
        return self.client.post(f"{self.path}/jobs/{job_id}/status", body)

    def verify(self, job_id, target_id, expected, actual, verified, error=""):
        return self.client.post(f"/jobs/{job_id}/verify", {
            "target_id": target_id, "expected_fingerprint": expected,
            "actual_fingerprint": actual, "verified": verified,
            "error": error})

    def awaiting(self, certificate_id):
        """The CSR item of a certificate in the work reply, or None."""
        return next((j for j in self.jobs() if j["status"] == "AwaitingCSR"
                     and j["certificate_id"] == certificate_id), None)

    def deployment(self, certificate_id):
        return next((j for j in self.jobs() if j["type"] == "Deployment"
                     and j["certificate_id"] == certificate_id), None)


# ---- Things to test with ---------------------------------------------

def nginx_config(directory="/nonexistent"):
    return {"cert_path": directory + "/site.crt",
            "key_path": directory + "/site.key",
            "chain_path": directory + "/site.chain",
            "validate_command": "/bin/true", "reload_command": "/bin/true"}


class World:
    """Makes what a certificate needs, with names nobody else has."""

    def __init__(self, api, stack):
        self.api, self.stack = api, stack
        self.team_id = self.team()["id"]
        self.owner_id = self.owner()["id"]

    def _make(self, path, body, over):
        body.update(over)
        return ok(self.api.post(path, body), 201)

    def team(self, **over):
        return self._make("/teams", {"name": unique("team")}, over)

    def owner(self, **over):
        return self._make("/owners", {
            "name": unique("owner"), "email": "ops@example.org",
            "team_id": self.team_id}, over)

    def policy(self, **over):
        return self._make("/renewal-policies", {
            "name": unique("policy"), "renewal_window_days": 30,
            "auto_renew": True, "max_retries": 3,
            "retry_interval_seconds": 60,
            "alert_thresholds_days": [30, 14, 7, 0]}, over)

    def profile(self, **over):
        return self._make("/profiles", {
            "name": unique("profile"), "enabled": True,
            "allowed_key_algorithms": [
                {"algorithm": "ECDSA", "min_size": 256},
                {"algorithm": "RSA", "min_size": 2048}],
            "allowed_ekus": ["serverAuth"]}, over)

    def issuer(self, **over):
        return self._make("/issuers", {
            "name": unique("issuer"), "type": "GenericCA",
            "config": {"ca_common_name": unique("CA")}}, over)

    def agent(self, **over):
        body = {"name": unique("agent"), "hostname": "host.example.org"}
        return Agent(self.api, self._make("/agents", body, over))

    def target(self, agent, **over):
        return self._make("/targets", {
            "name": unique("target"), "type": "NGINX",
            "agent_id": agent.id, "config": nginx_config()}, over)

    def certificate_body(self, **over):
        name = unique("cert")
        return {"name": name, "common_name": name + ".example.org",
                "sans": [name + ".example.org"], "owner_id": self.owner_id,
                "team_id": self.team_id, "issuer_id": "iss-local",
                "renewal_policy_id": "rp-default",
                "environment": "production", **over}

    def certificate(self, **over):
        return ok(self.api.post("/certificates",
                                self.certificate_body(**over)), 201)

    def site(self, **over):
        """(agent, target, certificate) that belong together."""
        agent = self.agent()
        target = self.target(agent)
        over.setdefault("target_ids", [target["id"]])
        return agent, target, self.certificate(**over)

    def set_status(self, certificate, status):
        """Into a state that no client can ask for."""
        self.stack.sql("UPDATE managed_certificates SET status = "
                       f"'{status}' WHERE id = '{certificate['id']}'")

    # What is there now.

    def get(self, path):
        return ok(self.api.get(path))

    def certificate_now(self, certificate):
        return self.get("/certificates/" + certificate["id"])

    def job_now(self, job):
        return self.get("/jobs/" + (job if isinstance(job, str)
                                    else job["id"]))

    def jobs_of(self, certificate, **filters):
        return self.get("/jobs" + query(certificate_id=certificate["id"],
                                        per_page=500, **filters))["data"]

    def versions(self, certificate):
        return self.get(f"/certificates/{certificate['id']}/versions")["data"]

    # Longer ways.

    def renew(self, certificate, **kw):
        return ok(self.api.post(f"/certificates/{certificate['id']}/renew",
                                **kw), 202)

    def issue(self, agent, certificate, key="P-256", wait=15):
        """Renew with a CSR of AGENT; (private key, newest version)."""
        self.renew(certificate)
        return self.answer(agent, certificate, key, wait)

    def answer(self, agent, certificate, key="P-256", wait=15):
        before = {v["id"] for v in self.versions(certificate)}
        item = wait_for(lambda: agent.awaiting(certificate["id"]),
                        what="AwaitingCSR in the work reply")
        private, csr = make_csr(item["common_name"], item.get("sans", ()),
                                key)
        ok(agent.submit(csr, certificate["id"]), 202)
        fresh = wait_for(
            lambda: [v for v in self.versions(certificate)
                     if v["id"] not in before],
            wait, what="a new certificate version")
        return private, fresh[0]

    def deployed(self, agent, certificate):
        """Take the due deployments of AGENT and report them done."""
        done = [j for j in agent.jobs() if j["type"] == "Deployment"
                and j["certificate_id"] == certificate["id"]]
        for item in done:
            ok(agent.report(item["id"], "Running"))
            ok(agent.report(item["id"], "Completed"))
        return done
