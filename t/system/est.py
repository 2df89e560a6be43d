"""EST (RFC 7030): one that looks closely, by way of curl, and one that only
wants its certificate."""

import base64
import re
import subprocess
import tempfile

from lib import make_csr, openssl, unique, wait_for

PKCS10 = "application/pkcs10"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"

    @property
    def text(self):
        return self.body.decode()

    @property
    def certs(self):
        """PEM of the certificates in the reply."""
        assert self.status == 200, self
        assert self.headers["content-type"] == \
            "application/pkcs7-mime; smime-type=certs-only"
        assert b"\n" not in self.body and b"\r" not in self.body
        text = openssl("pkcs7", "-inform", "DER", "-print_certs",
                       stdin=base64.b64decode(self.body)).decode()
        return re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----\n", text,
                          re.S)

    @property
    def cert(self):
        certs = self.certs
        assert len(certs) == 1, "the reply holds more than the certificate"
        return certs[0]


class Est:
    """One EST profile, by way of curl."""

    def __init__(self, stack, base, user=None, cert=None):
        self.stack, self.base = stack, base
        self.user, self.cert = user, cert

    def at(self, base):
        return Est(self.stack, base, self.user, self.cert)

    def login(self, user):
        return Est(self.stack, self.base, user, self.cert)

    def show(self, cert):
        """CERT: (certificate PEM, key PEM), or None."""
        return Est(self.stack, self.base, self.user, cert)

    def call(self, op, body=None, headers=(), method=None, options=()):
        with tempfile.TemporaryDirectory() as d:
            args = ["curl", "-sS", "-m", "30", "-D", d + "/h", "-o", d + "/b",
                    "--cacert", self.stack.ca, *options]
            for header in headers:
                args += ["-H", header]
            if self.user:
                args += ["-u", self.user]
            if self.cert:
                for name, text in zip(("cert", "key"), self.cert):
                    with open(f"{d}/{name}", "w") as f:
                        f.write(text)
                    args += [f"--{name}", f"{d}/{name}"]
            if body is not None:
                with open(d + "/in", "wb") as f:
                    f.write(body)
                args += ["--data-binary", "@" + d + "/in"]
            if method:
                args += ["-X", method]
            done = subprocess.run([*args, f"{self.base}/{op}"],
                                  capture_output=True, timeout=60)
            assert done.returncode == 0, done.stderr
            with open(d + "/h", "rb") as f:
                head = f.read()
            try:
                with open(d + "/b", "rb") as f:
                    reply = f.read()
            except FileNotFoundError:
                reply = b""
        self.head = head.split(b"\r\n\r\n")[-2]
        status, *lines = self.head.decode().split("\r\n")
        return Answer(int(status.split()[1]),
                      {k.lower(): v for k, v in (line.split(": ", 1)
                                                 for line in lines)}, reply)

    def post(self, op, der, headers=("Content-Type: " + PKCS10,), **kw):
        return self.call(op, base64.b64encode(der), headers, **kw)

    def enroll(self, der, op="simpleenroll"):
        return self.post(op, der)


def request(name=None, sans=None, key="P-256", **kw):
    """(key PEM, DER of a request)."""
    name = name or unique("dev")
    key_pem, csr = make_csr(name, [name + ".test"] if sans is None else sans,
                            key, **kw)
    return key_pem, openssl("req", "-outform", "DER", stdin=csr.encode())


class Device:
    """One that enrols by EST, and asks again for as long as it is told to."""

    def __init__(self, stack, label="demo"):
        self.stack, self.label, self.name = stack, label, unique("dev")
        self.der, self.cert = base64.b64encode(request(self.name)[1]), None
        self.door = "Basic " + base64.b64encode(
            b"est:" + stack.env["CERTCTL_EST_PASSWORD"].encode()).decode()

    def ask(self, refusal=None):
        """The status of one attempt: success, "come again" or REFUSAL."""
        reply = self.stack.client().call(
            "POST", f"/.well-known/est/{self.label}/simpleenroll", self.der,
            headers={"Authorization": self.door,
                     "Content-Type": "application/pkcs10"})
        assert reply.status in (200, 202, 502, 503, refusal), reply
        if reply.status == 200:
            self.cert = openssl(
                "pkcs7", "-inform", "DER", "-print_certs",
                stdin=base64.b64decode(reply.body)).decode()
        elif reply.status != refusal:
            assert int(reply.headers["retry-after"]) > 0, reply
        return reply.status

    def insist(self, timeout=40):
        wait_for(lambda: self.cert or self.ask() == 200, timeout, every=0.3,
                 what=f"the certificate of {self.name}")
        return self
