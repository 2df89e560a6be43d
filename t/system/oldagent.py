"""An agent of the installed base: exactly its calls, with its tolerances.

Its key is an operator-given one, its loop is one thread, it looks at nothing
in a reply but what it has always looked at.
"""

import contextlib
import json
import os
import socket
import ssl
import threading

from lib import API, fingerprint_of, make_csr, served_certificate


class CustomerSite:
    """A TLS server that reads its pair again for every connection."""

    def __init__(self, directory):
        self.cert = os.path.join(directory, "site.crt")
        self.key = os.path.join(directory, "site.key")
        self.chain = os.path.join(directory, "site.chain")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.cert, self.key)
                context.wrap_socket(plain, server_side=True).close()
            except (OSError, ssl.SSLError):
                plain.close()

    def config(self):
        return {"cert_path": self.cert, "key_path": self.key,
                "chain_path": self.chain, "validate_command": "/bin/true",
                "reload_command": "/bin/true", "host": "127.0.0.1",
                "port": self.port}

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)    # wakes accept()
        self.listener.close()


class OldAgent:
    def __init__(self, client, agent_id, key, key_dir, trailing_slash=False):
        self.client, self.id, self.key_dir = client.with_key(key), agent_id, \
            str(key_dir)
        # Server URL and path are simply joined.
        self.base = ("/" if trailing_slash else "") + API
        self.failures = 0
        self.retired = False
        self.log = []

    # ---- Calls ---------------------------------------------------------

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        return self.client.call(method, self.base + path, data, headers={
            "Content-Type": "application/json"})

    def _count(self, reply, source):
        if reply.status == 410:
            self.retired = True
            self.log.append(f"retired: {source}: {reply.text}")
        elif reply.status != 200:
            self.failures += 1
            self.log.append(f"{source}: {reply!r}")
        else:
            self.failures = 0
        return reply.status == 200

    def heartbeat(self):
        self._count(self._call("POST", f"/agents/{self.id}/heartbeat", {
            "version": "1.0.0", "hostname": "old.example.org",
            "os": "linux", "architecture": "amd64",
            "ip_address": "192.0.2.7"}), "heartbeat")

    def poll(self):
        """Everything one poll brings, one job after the other."""
        reply = self._call("GET", f"/agents/{self.id}/work")
        if not self._count(reply, "work_poll"):
            return 0
        work = json.loads(reply.body)
        if work["count"] > 0:
            for item in work["jobs"]:
                if item["status"] == "AwaitingCSR":
                    self._make_csr(item)
                elif item["type"] == "Deployment":
                    self._deploy(item)
        return work["count"]

    def _report(self, item, status, error=""):
        body = {"status": status}
        if error:
            body["error"] = error
        reply = self._call(
            "POST", f"/agents/{self.id}/jobs/{item['id']}/status", body)
        if reply.status != 200:
            self.log.append(f"report {status}: {reply!r}")

    # ---- Jobs ----------------------------------------------------------

    def _key_path(self, item):
        return os.path.join(self.key_dir, item["certificate_id"] + ".key")

    def _make_csr(self, item):
        names = ["email:" + s if "@" in s else "DNS:" + s
                 for s in item.get("sans") or []]
        key, csr = make_csr(item["common_name"], names)
        with open(self._key_path(item), "w", opener=lambda p, f: os.open(
                p, f, 0o600)) as f:
            f.write(key)
        reply = self._call("POST", f"/agents/{self.id}/csr", {
            "csr_pem": csr, "certificate_id": item["certificate_id"]})
        if reply.status != 202:
            self._report(item, "Failed", f"CSR rejected: {reply.text}")

    def _deploy(self, item):
        self._report(item, "Running")
        reply = self._call("GET", f"/agents/{self.id}/certificates/"
                           + item["certificate_id"])
        if reply.status != 200:
            self._report(item, "Failed", f"cert fetch failed: {reply.text}")
            return
        pem = json.loads(reply.body)["certificate_pem"]
        end = "-----END CERTIFICATE-----\n"
        leaf, _, chain = pem.partition(end)
        with open(self._key_path(item)) as f:
            key = f.read()
        config = item["target_config"]
        for path, text in ((config["cert_path"], leaf + end),
                           (config["chain_path"], chain.strip() + "\n"),
                           (config["key_path"], key)):
            with open(path, "w") as f:
                f.write(text)
        self._probe(item, config, leaf + end)
        self._report(item, "Completed")

    def _probe(self, item, config, leaf):
        host = config.get("host")
        if not host:
            return
        expected = fingerprint_of(leaf)
        body = {"target_id": item["target_id"], "error": ""}
        try:
            actual = fingerprint_of(served_certificate(
                host, config.get("port", 443)))
            body.update(expected_fingerprint=expected,
                        actual_fingerprint=actual,
                        verified=expected == actual)
        except OSError as e:
            body.update(expected_fingerprint="", actual_fingerprint="",
                        verified=False, error=str(e))
        reply = self._call("POST", f"/jobs/{item['id']}/verify", body)
        if reply.status != 200:
            self.log.append(f"verify: {reply!r}")
