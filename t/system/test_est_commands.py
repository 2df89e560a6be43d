"""EST as independent clients speak it: the commands as they are printed."""

import shutil
import subprocess

import pytest

import relying
from lib import openssl, unique, wait_for

pytestmark = pytest.mark.skipif(not shutil.which("pki"),
                                reason="strongswan-pki is not installed")

ENROL = r"""
pki --estca --url $S --cacert tls-ca.pem --caout got --outform pem --force
    .*
cp got.pem ca.pem && openssl x509 -in ca.pem -noout -subject
    subject=
curl -s --cacert tls-ca.pem $U/cacerts | base64 -d | openssl pkcs7 -inform DER -print_certs -noout
    subject=
openssl req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=$D -addext subjectAltName=DNS:$D.test -outform DER -out r.der
    .*
pki --est --url $S --in r.der --cacert tls-ca.pem --cacert ca.pem --userpass $W --outform pem > dev1.pem
    .*
openssl verify -CAfile ca.pem dev1.pem
    dev1.pem: OK
certtool --verify --load-ca-certificate ca.pem --infile dev1.pem
    Chain verification output: Verified.
base64 -w0 r.der | curl -si --cacert tls-ca.pem -u $W -H 'Content-Type: application/pkcs10' --data-binary @- $U/simpleenroll
    200.*application/pkcs7-mime; smime-type=certs-only.*MII
openssl req -new -newkey rsa:2048 -nodes -keyout k2.pem -subj /CN=$D -addext subjectAltName=DNS:$D.test -outform DER -out r2.der
    .*
pki --est --url $S --in r2.der --cacert tls-ca.pem --cacert ca.pem --cert dev1.pem --key k.pem --outform pem > dev1b.pem
    .*
openssl verify -CAfile ca.pem dev1b.pem && ! cmp dev1.pem dev1b.pem
    dev1b.pem: OK
"""

MORE = r"""
curl -s --cacert tls-ca.pem $U/csrattrs | base64 -d | openssl asn1parse -inform DER -i
    id-ecPublicKey.*Extension Request
openssl req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=$D -addext subjectAltName=DNS:$D.test -outform DER -out r.der
    .*
base64 -w0 r.der | curl -s --cacert tls-ca.pem -u $W -H 'Content-Type: application/pkcs10' --data-binary @- $U/serverkeygen -D h -o m
    ^$
python3 -c "import email;h=open('h','rb').read().split(b'\r\n',1)[1];[open('p%d'%i,'wb').write(p.get_payload(decode=True)) for i,p in enumerate(email.message_from_bytes(h+open('m','rb').read()).get_payload())]"
    ^$
openssl pkey -inform DER -in p0 -noout || openssl cms -decrypt -inform DER -in p0 -inkey k.pem
    ^$
openssl pkcs7 -inform DER -in p1 -print_certs | openssl x509 -noout -pubkey | cmp - <(openssl pkey -inform DER -in p0 -pubout)
    ^$
base64 -w0 r.der | curl -si --cacert tls-ca.pem -u est:wrong -H 'Content-Type: application/pkcs10' --data-binary @- $U/simpleenroll
    401.*www-authenticate: Basic realm="est-enrollment"
"""


@pytest.fixture
def place(stack, tmp_path):
    shutil.copy(stack.ca, tmp_path / "tls-ca.pem")
    shutil.copy(stack.dir / "etc/est-ca.pem", tmp_path / "ca.pem")
    return tmp_path


@pytest.fixture
def env(stack):
    # strongSwan knows no labels: a path in front of its own leads to one.
    return {"U": stack.est, "D": unique("dev"),
            "S": stack.est.split("/.well-known")[0] + "/demo",
            "W": "est:" + stack.env["CERTCTL_EST_PASSWORD"]}


def test_strongswan_enrols_and_renews(place, env):
    relying.run_printed(ENROL, place, **env)


def test_strongswan_without_a_label(stack, place, env):
    """The profile that has none."""
    env["S"] = stack.est.split("/.well-known")[0]
    relying.run_printed("\n".join(ENROL.strip().split("\n")[:12]), place,
                        **env)


def test_other_operations(place, env):
    relying.run_printed(MORE, place, **env)


def test_strongswan_waits_for_what_is_pending(stack, place, env):
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout",
            f"{place}/k.pem", "-subj", "/CN=" + env["D"], "-addext",
            f"subjectAltName=DNS:{env['D']}.test", "-outform", "DER", "-out",
            f"{place}/r.der")
    stack.stop("signer")
    try:
        client = subprocess.Popen(
            ["pki", "--est", "--url", env["S"], "--in", "r.der", "--cacert",
             "tls-ca.pem", "--cacert", "ca.pem", "--userpass", env["W"],
             "--outform", "pem", "--interval", "1", "--maxpolltime", "60"],
            cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for(lambda: stack.sql(
            "SELECT 1 FROM managed_certificates WHERE common_name = "
            f"'{env['D']}'"), what="the enrolment on record")
        assert client.poll() is None
    finally:
        stack.start("signer")
    out, said = client.communicate(timeout=60)
    assert client.returncode == 0, said
    openssl("verify", "-CAfile", f"{place}/ca.pem", stdin=out)
