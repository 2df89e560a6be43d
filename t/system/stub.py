"""A server for one agent, which it records: what was asked, when and how.

It knows just what an agent needs and can be told to misbehave; the real one
is what all other tests run against.
"""

import collections
import http.server
import json
import pathlib
import random
import re
import ssl
import tempfile
import threading
import time

from lib import fingerprint_of, openssl

Call = collections.namedtuple("Call", "at method path headers body")


class Stub:
    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.calls, self.jobs, self.certificates = [], [], {}
        self.requests, self.statuses = {}, collections.defaultdict(list)
        self.poll_seconds, self.pending = 1, None
        self.faults = []		# (path pattern, action, how often)
        self.lock = threading.RLock()
        self.numbers = iter(range(1, 1 << 30))
        self.registered = {}
        self._make_ca()
        handler = type("Handler", (Handler,), {"stub": self})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        tls.load_cert_chain(self.dir / "tls.pem", self.dir / "tls.key")
        self.http.socket = tls.wrap_socket(
            self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    url = property(lambda self: f"https://localhost:{self.port}")
    bundle = property(lambda self: str(self.dir / "ca.pem"))

    def _make_ca(self):
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes")
        openssl("req", "-x509", *new, "-keyout", str(self.dir / "ca.key"),
                "-out", str(self.dir / "ca.pem"), "-subj", "/CN=Stub CA",
                "-days", "9", "-addext", "basicConstraints=critical,CA:TRUE")
        openssl("req", "-new", *new, "-keyout", str(self.dir / "tls.key"),
                "-out", str(self.dir / "tls.csr"), "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost")
        (self.dir / "tls.pem").write_text(
            self.sign((self.dir / "tls.csr").read_text()))

    def sign(self, csr):
        with tempfile.NamedTemporaryFile("w", dir=self.dir) as f:
            f.write(csr)
            f.flush()
            return openssl(
                "x509", "-req", "-in", f.name, "-CA", self.bundle, "-CAkey",
                str(self.dir / "ca.key"), "-days", "5", "-set_serial",
                str(random.getrandbits(100)), "-copy_extensions",
                "copy").decode()

    # ---- Told by the tests ----------------------------------------------

    def fault(self, pattern, action, times=1):
        """The next TIMES calls that match get ACTION: a status, or "drop"."""
        with self.lock:
            self.faults.append([re.compile(pattern), action, times])

    def heal(self):
        with self.lock:
            self.faults.clear()

    def asked(self, pattern):
        with self.lock:
            return [c for c in self.calls
                    if re.fullmatch(pattern, f"{c.method} {c.path}")]

    def new_id(self, prefix):
        return f"{prefix}-{time.time_ns()}-{next(self.numbers)}"

    def want_csr(self, certificate_id, targets=(), **more):
        """Offer a CSR to be made; its certificate goes to TARGETS."""
        job = {"id": self.new_id("job"), "type": "Renewal",
               "status": "AwaitingCSR", "certificate_id": certificate_id,
               "common_name": "localhost", "sans": ["localhost"], **more}
        with self.lock:
            self.requests[certificate_id] = (job, targets)
            self.jobs.append(job)
        return job["id"]

    def deploy(self, certificate_id, config, type="NGINX", **more):
        job = {"id": self.new_id("job"), "type": "Deployment",
               "status": "Running", "certificate_id": certificate_id,
               "target_id": "target-1", "target_type": type,
               "target_config": config, **more}
        with self.lock:
            self.jobs.append({k: v for k, v in job.items() if v is not None})
        return job["id"]

    def result(self, job_id):
        """The last status that is not Running: (status, error), or None."""
        with self.lock:
            said = [s for s in self.statuses[job_id]
                    if s["status"] != "Running"]
        return (said[-1]["status"], said[-1].get("error")) if said else None

    # ---- Asked by the agent ---------------------------------------------

    def heartbeat(self, body):
        return 200, {"status": "heartbeat_recorded"}

    def register(self, body):
        known = self.registered.setdefault(
            body["name"], (body["api_key_sha256"], self.new_id("agent")))
        if known[0] != body["api_key_sha256"]:
            return 409, {"error": "Conflict", "message": "the name is taken"}
        return 201, dict(body, id=known[1], status="Online")

    def work(self, body):
        given, self.jobs = self.jobs, [
            j for j in self.jobs if j["status"] == "AwaitingCSR"]
        return 200, {"jobs": given, "count": len(given),
                     "poll_seconds": self.poll_seconds}

    def csr(self, body):
        certificate_id = body["certificate_id"]
        job, targets = self.requests.pop(certificate_id, (None, None))
        if job is None:
            return 409, {"error": "Conflict", "message": "no CSR is awaited"}
        self.jobs.remove(job)
        self.certificates[certificate_id] = self.sign(body["csr_pem"]) + \
            (self.dir / "ca.pem").read_text()
        for config in targets:
            self.deploy(certificate_id, config)
        return 202, {"status": "csr_signed"}

    def certificate(self, body, certificate_id):
        pem = self.certificates.get(certificate_id)
        if pem is None:
            return 404, {"error": "Not Found", "message": "no version"}
        return 200, {"certificate_pem": pem}

    def status(self, body, job_id):
        self.statuses[job_id].append(body)
        answer = {"status": "updated"}
        if self.pending is not None:
            answer["pending_deployments"] = self.pending
        return 200, answer

    def verify(self, body, job_id):
        return 200, {"job_id": job_id, "verified": body["verified"]}

    def fingerprint(self, certificate_id):
        return fingerprint_of(self.certificates[certificate_id])


ROUTES = [(m, re.compile(p), f) for m, p, f in [
    ("POST", r"/api/v1/agents", Stub.register),
    ("POST", r"/api/v1/agents/[^/]+/heartbeat", Stub.heartbeat),
    ("GET", r"/api/v1/agents/[^/]+/work", Stub.work),
    ("POST", r"/api/v1/agents/[^/]+/csr", Stub.csr),
    ("GET", r"/api/v1/agents/[^/]+/certificates/([^/]+)", Stub.certificate),
    ("POST", r"/api/v1/agents/[^/]+/jobs/([^/]+)/status", Stub.status),
    ("POST", r"/api/v1/jobs/([^/]+)/verify", Stub.verify),
]]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub = None

    def log_message(self, *args):
        pass

    def fault(self):
        for fault in self.stub.faults:
            if fault[2] > 0 and fault[0].search(
                    f"{self.command} {self.path}"):
                fault[2] -= 1
                return fault[1]
        return None

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        with self.stub.lock:
            self.stub.calls.append(Call(time.monotonic(), self.command,
                                        self.path, dict(self.headers), body))
            action = self.fault()
            if isinstance(action, int):
                return self.send(action, {"error": "Fault", "message":
                                          f"told to answer {action}"})
            for method, pattern, verb in ROUTES:
                found = pattern.fullmatch(self.path)
                if method == self.command and found:
                    status, reply = verb(self.stub, body, *found.groups())
                    break
            else:
                status, reply = 404, {"error": "Not Found"}
        if action == "drop":		# done, but nobody hears of it
            self.close_connection = True
            self.connection.close()
            return None
        return self.send(status, reply)

    do_GET = do_POST = answer

    def send(self, status, reply):
        text = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
