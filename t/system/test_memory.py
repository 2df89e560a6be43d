"""No process but the signer ever maps or holds a CA key."""

import contextlib
import mmap
import os
import pathlib
import re
import threading

import pytest

from est import Device
from lib import make_csr, ok, openssl, wait_for

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root sees other users' memory")

CHUNK = 1 << 24


def spellings(key_pem):
    """What a P-256 or P-384 key looks like wherever it may lie."""
    text = openssl("pkey", "-noout", "-text", stdin=key_pem.encode()).decode()
    number = re.search(r"priv:\s*([0-9a-f:\s]+)pub:", text)
    scalar = bytes.fromhex(re.sub(r"[^0-9a-f]", "", number[1])).lstrip(b"\0")
    lines = key_pem.split("\n")
    return [scalar, scalar[::-1], lines[1].encode(),
            "".join(lines[1:-2]).encode()]


def regions(pid):
    """(start, end, what) of all that can be read of a process, but for
    programs and libraries as they are on disk."""
    with contextlib.suppress(OSError):
        for line in open(f"/proc/{pid}/maps"):
            place, access, *_ = line.split()
            if access[0] == "r" and not line.rstrip().endswith(
                    ("[vvar]", "[vsyscall]")) and \
                    not (access[1] == "-" and " /usr/" in line):
                yield *(int(x, 16) for x in place.split("-")), line


def holds(pid, wanted):
    most = max(map(len, wanted))
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mem", "rb", 0) as m:
        for start, end, _ in regions(pid):
            tail = b""
            with contextlib.suppress(OSError, ValueError, OverflowError):
                m.seek(start)
                while start < end and (chunk := m.read(min(CHUNK,
                                                           end - start))):
                    data, start = tail + chunk, start + len(chunk)
                    if any(w in data for w in wanted):
                        return True
                    tail = data[-most:]
    return False


def processes(stack):
    """(component, program, pid) of every process of the stack, whoever
    started it."""
    for component in ("postgres", "signer", "api", "pki", "workers", "est",
                      "web", "site", "agent"):
        for pid in stack.pids(component):
            with contextlib.suppress(OSError):
                name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
                yield component, name, pid


def look(stack, wanted):
    """(those that hold a key, all that were looked at)."""
    seen = list(processes(stack))
    return {(c, n) for c, n, pid in seen if holds(pid, wanted)}, \
        {(c, n) for c, n, _ in seen}


EVERY = {("postgres", "postgres"), ("signer", "certctl-signer"),
         ("api", "certctl-api"), ("api", "multiwatch"),
         ("pki", "certctl-pki"), ("pki", "multiwatch"),
         ("workers", "certctl-workers"), ("est", "certctl-est"),
         ("est", "multiwatch"), ("site", "nginx"),
         ("agent", "certctl-agent")}
# Started by the first who needs it; it is the stack's, and outside of it.
HELPERS = {"bash", "spawn-fcgi", "sleep", "setpriv"}


def busy(stack, world, issuers, stop):
    """Certificates by agents and by EST, and revocations, of each issuer."""
    agent = world.agent()
    target = world.target(agent)["id"]
    while not stop.is_set():
        for issuer in issuers:
            c = world.certificate(target_ids=[target], issuer_id=issuer)
            world.renew(c)
            ok(agent.submit(make_csr(c["common_name"], c["sans"])[1],
                            c["id"]), 202)
            wait_for(lambda: world.versions(c), 30, what="a certificate")
            ok(world.api.post(f"/certificates/{c['id']}/revoke",
                              {"reason": "keyCompromise"}))
        Device(stack).insist()


def test_no_other_process_ever_holds_a_ca_key(stack, world, sub_ca, token,
                                              pki):
    issuers = ["iss-local",
               world.issuer(config=dict(sub_ca, validity_days=90))["id"],
               world.issuer(config=dict(token.config,
                                        validity_days=30))["id"]]
    own, = (stack.dir / "signer").rglob("iss-local.key")
    keys = [own.read_text(), pathlib.Path(sub_ca["ca_key_path"]).read_text()]
    # A token's key is in no file, and SoftHSM opens it for a moment only.
    wanted = [s for k in [*keys, token.key] for s in spellings(k)]
    stop, failed = threading.Event(), []

    def run():
        try:
            busy(stack, world, issuers, stop)
        except Exception as e:
            failed.append(e)

    work = threading.Thread(target=run)
    work.start()
    found, seen = set(), set()
    try:
        wait_for(lambda: stack.sql(
            "SELECT 1 FROM certificate_versions WHERE issuer_id = "
            f"'{issuers[2]}'"), 30, what="one of the token's")
        for _ in range(2):
            more, all_of_them = look(stack, wanted)
            found, seen = found | more, seen | all_of_them
            assert pki.crl()
        pid, = stack.processes("signer", "certctl-signer")
        assert holds(pid, spellings(keys[0]))
    finally:
        stop.set()
        work.join()
    assert not failed
    assert found == {("signer", "certctl-signer")}
    assert EVERY | {("web", {"nginx": "nginx", "apache": "apache2"}[
        stack.web])} <= seen
    # Nothing of the stack was overlooked for having left its session.
    place = os.path.realpath(stack.dir / "bin")
    known = {pid for _, _, pid in processes(stack)}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with contextlib.suppress(OSError):
            exe = os.readlink(f"/proc/{pid}/exe")
            assert os.path.dirname(exe) != place or pid in known or \
                not os.path.exists(f"/proc/{pid}"), exe


def writable(pid):
    """Where a few octets hurt nobody: the far end of its stack."""
    return next((start, end) for start, end, line in regions(pid)
                if line.rstrip().endswith("[stack]"))


def test_a_key_that_is_planted_is_found(stack):
    """The search above can fail, for each kind of process."""
    key = openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                  "ec_paramgen_curve:P-256").decode()
    wanted = spellings(key)
    assert look(stack, wanted)[0] == set()
    planted = {}
    for component, name, pid in processes(stack):
        if (component, name) not in planted and name not in HELPERS:
            planted[component, name] = pid
    for n, pid in enumerate(planted.values()):
        start, _ = writable(pid)
        with open(f"/proc/{pid}/mem", "r+b", 0) as m:
            m.seek(start)
            before = m.read(2 * mmap.PAGESIZE)
            spot = start + before.index(bytes(128))
            m.seek(spot)
            m.write(wanted[n % 3])
            assert holds(pid, wanted)
            m.seek(spot)
            m.write(bytes(128))
            assert not holds(pid, wanted)
    assert len(planted) >= len(EVERY)
