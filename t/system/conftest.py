"""One certctl for the whole run, behind the web server that is asked for.

CERTCTL_TEST_WEB    nginx (default) or apache
CERTCTL_BUILD_DIR   where the programs were built
CERTCTL_TEST_DIR    keep the stack here and use it again, while developing
"""

import os

import pytest

from lib import World
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
    import shutil
    from lib import openssl
    place = stack.dir / "state" / "test-ca"
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
            for path in (place, place / "ca.key", place / "ca.crt"):
                shutil.chown(path, "daemon", "daemon")
    return {"ca_cert_path": str(place / "ca.crt"),
            "ca_key_path": str(place / "ca.key")}
