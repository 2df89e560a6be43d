"""One certctl for the whole run, behind the web server that is asked for.

CERTCTL_TEST_WEB    nginx (default) or apache
CERTCTL_BUILD_DIR   where the programs were built
CERTCTL_TEST_DIR    keep the stack here and use it again, while developing
"""

import os
import pathlib
import shutil
import subprocess
import typing

import pytest

import relying
from lib import World, openssl, unique
from pki import Pki, ca_files
from stack import Stack


@pytest.fixture(scope="session")
def stack():
    build = os.environ.get("CERTCTL_BUILD_DIR")
    assert build, "CERTCTL_BUILD_DIR does not say where the programs are"
    stack = Stack(os.environ.get("CERTCTL_TEST_WEB", "nginx"), build,
                  os.environ.get("CERTCTL_TEST_DIR"))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def anon(stack):
    """A caller without a key."""
    return stack.client()


@pytest.fixture(scope="session")
def api(stack):
    """An administrator."""
    return stack.client(stack.admin_key)


@pytest.fixture(scope="session")
def operator(stack):
    """A named key that is no administrator's."""
    return stack.client(stack.operator_key)


@pytest.fixture(scope="session")
def db(stack):
    return stack.sql


@pytest.fixture(scope="session")
def world(api, stack):
    return World(api, stack)


@pytest.fixture(scope="session")
def sub_ca(stack):
    """The configuration of an issuer whose CA came in files."""
    place = stack.dir / "ca" / "test"
    if not place.exists():
        place.mkdir()
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-384", "-nodes", "-subj",
                "/CN=Test Issuing CA", "-days", "365",
                "-keyout", str(place / "ca.key"), "-out",
                str(place / "ca.crt"), "-addext",
                "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")
        (place / "ca.key").chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(place / "ca.key", "bin")
    return {"ca_cert_path": str(place / "ca.crt"),
            "ca_key_path": str(place / "ca.key")}


# ---- Revocation ------------------------------------------------------

@pytest.fixture(scope="session")
def pki(stack):
    return Pki(stack)


@pytest.fixture(scope="session")
def agent(world):
    """One that certificates are issued to."""
    return world.agent()


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    with relying.Files() as files:
        yield relying.OfflineCA(tmp_path_factory.mktemp("root") / "ca",
                                files, "Offline Root")


@pytest.fixture(scope="session")
def levels(stack, world, root, tmp_path_factory):
    """Issuers by what is above them."""
    policy = relying.OfflineCA(tmp_path_factory.mktemp("policy") / "ca",
                               root.files, "Policy CA", root)
    return {"nothing": "iss-local",
            "a root": world.issuer(config=ca_files(stack, root, "RSA"))["id"],
            "a root and a policy CA": world.issuer(
                config=ca_files(stack, policy))["id"]}


# ---- A key on a token ------------------------------------------------

MODULE = "/usr/lib/softhsm/libsofthsm2.so"


def softhsm(conf, *args):
    return subprocess.run(["softhsm2-util", *args], check=True, timeout=30,
                          capture_output=True,
                          env=dict(os.environ, SOFTHSM2_CONF=str(conf)))


class Token(typing.NamedTuple):
    config: dict        # of an issuer
    place: pathlib.Path
    key: str            # PEM, as it was before it went there


@pytest.fixture
def token(stack):
    """A CA whose key is on a token."""
    if not os.path.exists(MODULE):
        pytest.skip("SoftHSM is not installed")
    place = stack.dir / "ca" / unique("hsm")
    (place / "tokens").mkdir(parents=True)
    conf, key, crt = place / "conf", place / "key.pem", place / "ca.crt"
    conf.write_text(f"directories.tokendir = {place}/tokens\n"
                    "objectstore.backend = file\nlog.level = ERROR\n")
    (place / "pin").write_text("5678\n")
    (place / "pin").chmod(0o600)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Token CA",
            "-days", "365", "-keyout", str(key), "-out", str(crt),
            "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    softhsm(conf, "--init-token", "--free", "--label", "ca", "--so-pin",
            "1234", "--pin", "5678")
    softhsm(conf, "--import", str(key), "--token", "ca", "--label", "issuing",
            "--id", "01", "--pin", "5678")
    pem = key.read_text()
    key.unlink()
    if os.geteuid() == 0:
        for path in (place, *place.rglob("*")):
            shutil.chown(path, "bin")
        crt.chmod(0o644)
    with stack.settings("signer", SOFTHSM2_CONF=str(conf),
                        CERTCTL_SIGNER_PKCS11_MODULE=MODULE,
                        CERTCTL_SIGNER_PIN_FILE=str(place / "pin")):
        yield Token({"ca_cert_path": str(crt), "ca_key_path":
                     "pkcs11:token=ca;object=issuing;type=private"}, place,
                    pem)
