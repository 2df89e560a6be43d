"""Relying parties: programs of other makers that ask about a certificate.

Each function returns "good" or "revoked", or fails with what was said.
"""

import http.server
import os
import pathlib
import re
import subprocess
import threading
import time

from lib import openssl

HERE = pathlib.Path(__file__).resolve().parent


def run(*args, stdin=None, timeout=60, cwd=None):
    """(exit status, all that was said) of a program."""
    done = subprocess.run([str(a) for a in args], input=stdin, cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout)
    return done.returncode, done.stdout.decode(errors="replace")


def shell(command, want, cwd, **env):
    """Run COMMAND as it is printed; WANT is a pattern of what it says, after
    a "!" if it has to fail."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=cwd, timeout=60,
        env=dict(os.environ, **env), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.decode(errors="replace")
    assert (done.returncode != 0) == want.startswith("!"), (command, said)
    assert re.search(want.removeprefix("!"), said, re.S), (command, said)
    return said


def run_printed(text, cwd, revoked=False, **env):
    """Run commands as they are printed.  Each is a line; the next is what
    shell() is to see, and after " | " what once a certificate is revoked."""
    for command, want in zip(*[iter(text.strip().split("\n"))] * 2):
        good, _, bad = want.strip().partition(" | ")
        shell(command, revoked and bad or good, cwd, **env)


class Hierarchy:
    """A chain in files: leaf, intermediates, root, each PEM and DER."""

    def __init__(self, place, leaf, *above):
        self.place = place
        place.mkdir()
        names = ["leaf"] + [f"ca{n}" for n in range(1, len(above))] + ["root"]
        for name, text in zip(names, (leaf, *above)):
            (place / f"{name}.pem").write_text(text)
            openssl("x509", "-in", f"{place}/{name}.pem", "-outform", "DER",
                    "-out", f"{place}/{name}.der")
        self.names = names
        (place / "between.pem").write_text("".join(above[:-1]))
        self.chain = place / "chain.pem"
        self.chain.write_text("".join((leaf, *above)))

    def pem(self, name):
        return self.place / f"{name}.pem"

    def der(self, name):
        return self.place / f"{name}.der"

    @property
    def issuer(self):
        return self.names[1]

    @property
    def between(self):
        return self.names[1:-1]

    def untrusted(self, option):
        return [option, self.pem("between")] if self.between else []

    def add(self, name, data):
        (self.place / name).write_bytes(data)
        return self.place / name


def openssl_crl(h, crls, every=False):
    """openssl verify with CRLS, of the leaf or of the whole chain."""
    pem = b"".join(openssl("crl", "-inform", "DER", stdin=c) for c in crls)
    code, said = run(
        "openssl", "verify", "-x509_strict", "-CAfile", h.pem("root"),
        *h.untrusted("-untrusted"), "-CRLfile", h.add("crls.pem", pem),
        "-crl_check_all" if every else "-crl_check", h.pem("leaf"))
    if "certificate revoked" in said:
        return "revoked"
    assert code == 0 and said.rstrip().endswith("OK"), said
    return "good"


def openssl_ocsp(h, url, *options, warn=True):
    code, said = run(
        "openssl", "ocsp", *options, "-issuer", h.pem(h.issuer), "-cert",
        h.pem("leaf"), "-url", url, "-CAfile", h.pem("root"),
        *h.untrusted("-verify_other"))
    assert code == 0 and "Response verify OK" in said, said
    assert not warn or "WARNING" not in said, said
    return re.search(r"leaf\.pem: (\w+)", said)[1]


def gnutls_crl(h, crl):
    """certtool checks the list, then the chain with it."""
    code, said = run("certtool", "--verify-crl", "--load-ca-certificate",
                     h.der(h.issuer), "--inder", "--infile",
                     h.add("gnutls.crl", crl))
    assert code == 0 and "Verified." in said, said
    code, said = run(
        "certtool", "--verify", "--load-ca-certificate", h.pem("root"),
        "--load-crl", h.add("gnutls.pem", openssl(
            "crl", "-inform", "DER", stdin=crl)), "--infile", h.chain)
    if "revoked" in said:
        return "revoked"
    assert code == 0 and "Chain verification output: Verified." in said, said
    return "good"


def gnutls_ocsp(h, url):
    code, said = run("ocsptool", "--ask=" + url, "--load-issuer",
                     h.pem(h.issuer), "--load-cert", h.pem("leaf"),
                     "--load-trust", h.pem(h.issuer), "--nonce")
    assert "Verifying OCSP Response: Success" in said, said
    return re.search(r"Certificate Status: (\w+)", said)[1]


def strongswan_crl(h, crl):
    """pki takes each CA of the chain, trusts those that sign themselves."""
    args = [a for name in h.names[1:] for a in ("--cacert", h.der(name))]
    code, said = run("pki", "--verify", "--in", h.der("leaf"), *args,
                     "--crl", h.add("strongswan.crl", crl))
    if "certificate was revoked" in said:
        return "revoked"
    assert code == 0 and "certificate trusted" in said, said
    assert "certificate is not revoked" in said or \
        "certificate status is good" in said or "lifetimes valid" in said, \
        said
    return "good"


def nss_database(h):
    db = h.place / "nss"
    if not db.exists():
        db.mkdir()
        run("certutil", "-N", "-d", f"sql:{db}", "--empty-password")
        for name in h.names:
            code, said = run("certutil", "-A", "-d", f"sql:{db}", "-n", name,
                             "-t", "CT,," if name == "root" else ",,", "-i",
                             h.der(name))
            assert code == 0, said
    return f"sql:{db}"


def nss_crl(h, crl):
    db = nss_database(h)
    code, said = run("crlutil", "-I", "-d", db, "-i", h.add("nss.crl", crl))
    assert code == 0, said
    code, said = run("certutil", "-V", "-d", db, "-n", "leaf", "-u", "V")
    if "revoked" in said:
        return "revoked"
    assert code == 0 and "certificate is valid" in said, said
    return "good"


def nss_ocsp(h):
    """vfychain follows the AIA of the certificate."""
    db = nss_database(h)
    code, said = run("vfychain", "-d", db, "-pp", "-u", "1", "-g", "leaf",
                     "-m", "ocsp", "-s", "failIfNoInfo", h.der("leaf"))
    if "revoked" in said.lower():
        return "revoked"
    assert code == 0 and "Chain is good" in said, said
    return "good"


def java(*checks):
    """OpenJDK follows CDP or AIA of each certificate: a verdict for each of
    CHECKS, pairs of a hierarchy and "crl" or "ocsp"."""
    args = []
    for h, how in checks:
        args += [how, h.pem("root"), h.pem("leaf"),
                 *map(h.pem, h.between), "--"]
    code, said = run("java", "-Dcom.sun.security.enableCRLDP=true",
                     "-XX:TieredStopAtLevel=1", HERE / "PkixCheck.java",
                     *args)
    verdicts = [line.split()[0] for line in said.splitlines()]
    assert code == 0 and set(verdicts) <= {"good", "revoked"}, said
    assert len(verdicts) == len(checks), said
    return verdicts


class Files:
    """A web server for what an offline CA publishes."""

    def __enter__(self):
        files = self.files = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = files.get(self.path)
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()


class OfflineCA:
    """A CA that signs CAs and lists by hand, with openssl ca; a root, or
    below ABOVE, another one."""

    def __init__(self, place, files, name, above=None):
        self.place, self.files, self.name = place, files, name
        self.path = "/" + name.replace(" ", "-") + ".crl"
        place.mkdir()
        (place / "index.txt").touch()
        (place / "number").write_text("01\n")
        (place / "ca.cnf").write_text(f"""
[ca]
default_ca = this
[this]
database = {place}/index.txt
crlnumber = {place}/number
serial = {place}/number
new_certs_dir = {place}
certificate = {place}/ca.crt
private_key = {place}/ca.key
default_md = sha256
default_crl_days = 30
policy = any
crl_extensions = crl
[any]
commonName = supplied
[crl]
authorityKeyIdentifier = keyid
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[policy]
basicConstraints = critical,CA:TRUE,pathlen:1
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
crlDistributionPoints = URI:{files.url}{self.path}
[issuing]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
crlDistributionPoints = URI:{files.url}{self.path}
""")
        if above is not None:
            above.sub_ca(place, name, kind="policy")
        else:
            openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-384", "-nodes", "-subj",
                    "/CN=" + name, "-keyout", f"{place}/ca.key", "-out",
                    f"{place}/sub.csr")
            self.sign("root", f"{place}/ca.crt", "-selfsign")
        files.files[self.path] = self.crl()

    def sign(self, kind, out, *options):
        # None is so young that a clock set back makes it invalid.
        begin = time.strftime("%Y%m%d%H%M%SZ",
                              time.gmtime(time.time() - 86400))
        openssl("ca", "-config", f"{self.place}/ca.cnf", "-batch", "-notext",
                "-rand_serial", "-extensions", kind, "-startdate", begin,
                "-days", "1000", "-in", f"{self.place}/sub.csr", "-out", out,
                *options)

    def sub_ca(self, directory, name, key="P-256", kind="issuing"):
        """A CA below in DIRECTORY: ca.key, and ca.crt with all above it."""
        openssl("req", "-new", "-newkey",
                *({"P-256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
                   "RSA": ["rsa:2048"]}[key]), "-nodes",
                "-subj", f"/CN={name}", "-keyout", f"{directory}/ca.key",
                "-out", f"{self.place}/sub.csr")
        self.sign(kind, f"{directory}/ca.crt")
        with open(f"{directory}/ca.crt", "a") as f:
            f.write((self.place / "ca.crt").read_text())

    def crl(self):
        return openssl("crl", "-outform", "DER", stdin=openssl(
            "ca", "-config", f"{self.place}/ca.cnf", "-gencrl"))
