"""Whatever dies, stops or fills up: answers stay right or say honestly that
they cannot be given, CRL numbers rise, and nothing is signed unrecorded."""

import concurrent.futures
import contextlib
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import record
from est import Device
from lib import ok, openssl, wait_for
from pki import TRY_LATER, Issued, number_of, serials_of, status_of

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@pytest.fixture(autouse=True)
def everything_is_up(stack):
    yield
    for pid in stack.processes("signer", "certctl-signer"):
        os.kill(pid, signal.SIGCONT)
    stack.start("postgres", "signer", "api", "pki", "workers", "est")
    stack.wait_ready()


def enrolled(stack):
    """A certificate of a device, to be asked about and revoked."""
    device = Device(stack).insist()
    (device.id, device.serial), = stack.sql(
        "SELECT c.id, v.serial_number FROM managed_certificates c JOIN "
        "certificate_versions v ON v.certificate_id = c.id WHERE "
        f"common_name = '{device.name}'")
    return device


def hex_answer(pki, one):
    return status_of(pki.call("GET", f"/ocsp/iss-local/{one.serial}").body)


# ---- Processes that die ----------------------------------------------

def kill_the_signer(stack):
    wait_for(lambda: stack.kill("signer", "certctl-signer"), 10,
             what="a signer to kill")


def kill_postgres(stack):
    stack.kill("postgres", "postgres")
    stack.start("postgres")


def kill_responders(stack):
    stack.kill("est", "certctl-est")
    stack.kill("pki", "certctl-pki")
    time.sleep(0.2)


def kill_workers(stack):
    wait_for(lambda: stack.kill("workers-1", "certctl-workers")
             and stack.kill("workers-2", "certctl-workers"), 10,
             what="workers to kill")


def test_killed_while_devices_enrol_and_others_are_revoked(stack, api, pki):
    kills = [kill_the_signer, kill_postgres, kill_responders, kill_workers]
    doomed = [enrolled(stack) for _ in kills]
    crls, devices, stop = [pki.crl()], [], threading.Event()

    def enrol():
        while not stop.is_set():
            devices.append(Device(stack))
            devices[-1].ask()

    def revoke(one):
        reply = api.post(f"/certificates/{one.id}/revoke",
                         {"reason": "keyCompromise"})
        assert reply.status in (200, 502, 503), reply
        return reply.status == 200

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        enrolling = [pool.submit(enrol) for _ in range(2)]
        try:
            for kill, one in zip(kills, doomed):
                kill(stack)
                wait_for(lambda: revoke(one), what="the revocation")
                crls.append(pki.crl())
        finally:
            stop.set()
        for done in enrolling:
            done.result()
    stack.wait_ready()
    # What killed workers had in hand is theirs for five minutes.
    stack.sql("UPDATE jobs SET leased_until = now() WHERE status = 'Running'")
    for device in devices:
        device.insist()
    for one in doomed:
        wait_for(lambda: hex_answer(pki, one) == "revoked", 8,
                 what="its revocation")
    wait_for(lambda: {d.serial for d in doomed} <= set(serials_of(pki.crl())),
             25, every=0.1, what="all of them on the list")
    crls.append(pki.crl())
    numbers = [number_of(crl) for crl in crls]
    assert numbers == sorted(numbers) and numbers[-1] > numbers[0]
    record.check(stack, [d.cert for d in devices], crls)


def test_killed_responders_are_replaced(stack, pki):
    one = enrolled(stack)
    wait_for(lambda: hex_answer(pki, one) == "good", what="a responder")
    for _ in range(3):
        stack.kill("pki", "certctl-pki")
        wait_for(lambda: pki.call(
            "GET", f"/ocsp/iss-local/{one.serial}").status == 200, 5,
            what="an answer after all were killed")
        assert hex_answer(pki, one) == "good"


# ---- A signer that is there but does not answer ------------------------

def fill_the_queue(path):
    """Connections that wait until no more can, to whoever listens."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(
        8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    held = []
    with contextlib.suppress(BlockingIOError):
        while True:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            held.append(s)
            s.setblocking(False)
            s.connect(path)
    return held


def ask_at_once(devices):
    with concurrent.futures.ThreadPoolExecutor(len(devices)) as pool:
        return set(pool.map(Device.ask, devices))


def test_a_signer_that_hangs_keeps_nobody_for_ever(stack, api, pki):
    good, bad = enrolled(stack), enrolled(stack)
    number = number_of(pki.crl())
    before = len(record.records(stack))
    pid, = stack.processes("signer", "certctl-signer")
    os.kill(pid, signal.SIGSTOP)
    devices = [Device(stack) for _ in range(4)]
    started = time.monotonic()
    # First every process of EST asks on the line it has, then on a new one
    # that finds the queue full; meanwhile nobody else is kept.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        first = [pool.submit(d.ask) for d in devices]
        ok(api.post(f"/certificates/{bad.id}/revoke",
                    {"reason": "keyCompromise"}))
        assert hex_answer(pki, bad) == "revoked"
        assert hex_answer(pki, good) == "good"
        assert number_of(pki.crl()) == number
        assert {f.result() for f in first} <= {202, 503}
        held = fill_the_queue(str(pathlib.Path(stack.run("place").strip())
                                  / "run/signer/signer.sock"))
        assert len(held) > 1000
        later = [Device(stack) for _ in range(4)]
        assert {f.result() for f in [pool.submit(d.ask) for d in later]} \
            <= {202, 503}
    assert time.monotonic() - started < 15
    assert len(record.records(stack)) == before
    wait_for(lambda: stack.sql(
        "SELECT 1 FROM crl_generation_events WHERE NOT succeeded "
        "AND started_at > now() - interval '30 seconds'"), 10,
        what="the failure on record")
    for s in held:
        s.close()
    os.kill(pid, signal.SIGCONT)
    for device in devices + later:
        device.insist()
    wait_for(lambda: bad.serial in serials_of(pki.crl()), 25,
             what="the list")
    assert number_of(pki.crl()) > number
    record.check(stack, [d.cert for d in devices + later], [pki.crl()])


def test_more_callers_than_the_signer_has_room_for(stack):
    """Idle ones make way."""
    path = str(pathlib.Path(stack.run("place").strip())
               / "run/signer/signer.sock")
    held = []
    try:
        for _ in range(600):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            held.append(s)
            s.connect(path)
        devices = [Device(stack) for _ in range(8)]
        assert ask_at_once(devices) == {200}
    finally:
        for s in held:
            s.close()


# ---- Parts that are stopped --------------------------------------------

def test_without_the_database(stack, api, pki):
    one, device = enrolled(stack), Device(stack)
    crl = pki.crl()
    stack.stop("postgres")
    try:
        assert hex_answer(pki, one) == TRY_LATER
        assert pki.crl() == crl         # a file
        r = pki.call("GET", "/crl/iss-nobody")
        assert r.status == 503 and int(r.headers["Retry-After"]) > 0
        assert device.ask() == 503
        assert api.post(f"/certificates/{one.id}/revoke", {}).status == 503
    finally:
        stack.start("postgres")
    stack.wait_ready()
    wait_for(lambda: hex_answer(pki, one) == "good", what="answers again")
    device.insist()


@pytest.mark.parametrize("part", ["est", "pki"])
def test_a_web_server_alone_asks_to_come_again(stack, pki, part):
    device = Device(stack)
    stack.stop(part)
    if part == "est":
        assert device.ask() in (502, 503)
    else:
        r = pki.call("GET", "/ocsp/iss-local/00")
        assert r.status in (502, 503) and int(r.headers["Retry-After"]) > 0
        assert pki.call("GET", "/crl/iss-local").status == 200
    stack.start(part)
    if part == "est":
        device.insist()


# ---- Disks that are full -----------------------------------------------

@contextlib.contextmanager
def small_disk(place, owner):
    """PLACE is a file system of its own that holds what it held; what is
    yielded fills it, and what that returns makes room again."""
    def files():
        return {p: (p.read_bytes(), p.stat().st_mtime_ns)
                for p in place.iterdir() if p.is_file()}

    kept = files()
    mode, who = place.stat().st_mode & 0o777, pwd.getpwnam(owner).pw_uid
    done = subprocess.run(["mount", "-t", "tmpfs", "-o",
                           f"size=4m,mode={mode:o},uid={who},gid={who}",
                           "none", place])
    if done.returncode != 0:
        pytest.skip("no file system can be mounted here")

    def put(these):
        for path, (data, dated) in these.items():
            path.write_bytes(data)
            os.utime(path, ns=(dated, dated))
            shutil.chown(path, owner)
            path.chmod(0o600 if mode == 0o700 else 0o644)

    def fill():
        filler = place / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as f:
            while True:
                f.write(b"x" * 4096)
                f.flush()
        return filler.unlink

    try:
        put(kept)
        yield fill
    finally:
        left = files()
        left.pop(place / "filler", None)
        subprocess.run(["umount", "--lazy", place], check=True)
        put(left)


@as_root
def test_a_full_disk_leaves_the_old_list(stack, api, pki):
    one, crl = enrolled(stack), stack.dir / "crl"
    stack.stop("workers")
    with small_disk(crl, "daemon") as fill:
        make_room = fill()
        stack.start("workers")
        before = pki.crl()
        ok(api.post(f"/certificates/{one.id}/revoke",
                    {"reason": "keyCompromise"}))
        assert hex_answer(pki, one) == "revoked"
        wait_for(lambda: int(stack.sql(
            "SELECT max(number) FROM crls c JOIN ca_keys k ON k.id = "
            "c.ca_key_id WHERE scope = 'full'")[0][0]) > number_of(before)
            and "No space left" in stack.log("workers-1")
            + stack.log("workers-2"), what="a list that cannot be written")
        assert pki.crl() == before
        assert [p.name for p in crl.iterdir() if ".tmp" in p.name] == []
        make_room()
        wait_for(lambda: one.serial in serials_of(pki.crl()),
                 what="the new list")
        assert number_of(pki.crl()) > number_of(before)
        stack.stop("workers")
    stack.start("workers")
    assert one.serial in serials_of(pki.crl())


@as_root
def test_what_cannot_be_recorded_is_not_signed(stack, api, pki):
    one = enrolled(stack)
    number = number_of(pki.crl())
    stack.stop("signer")
    with small_disk(stack.dir / "signer/signer", "bin") as fill:
        stack.start("signer")
        Device(stack).insist()      # so that nobody has to dial again
        make_room = fill()
        # The page that the record ends in may still take some.
        wait_for(lambda: Device(stack).ask() != 200, what="a refusal")
        devices = [Device(stack) for _ in range(4)]
        assert ask_at_once(devices) <= {202, 503}
        after = record.records(stack)
        ok(api.post(f"/certificates/{one.id}/revoke",
                    {"reason": "keyCompromise"}))
        assert hex_answer(pki, one) == "revoked"
        wait_for(lambda: stack.sql(
            "SELECT 1 FROM crl_generation_events WHERE NOT succeeded AND "
            "error LIKE '%record of signatures%'"), what="the refusal")
        assert number_of(pki.crl()) == number
        assert record.records(stack) == after
        assert all(d.cert is None for d in devices)
        assert "signatures withheld" in stack.log("signer")
        make_room()
        for device in devices:
            device.insist()
        record.check(stack, [d.cert for d in devices])
        stack.stop("signer")
    stack.start("signer")
    record.check(stack, [Device(stack).insist().cert])


# ---- A clock set back ----------------------------------------------------

@pytest.fixture
def clock(stack, levels, world, agent):
    """A file: while it is there, the programs' clocks are an hour behind.
    Libfaketime would share a semaphore that a killed process may keep."""
    library, behind = stack.dir / "bin/clock.so", stack.dir / "etc/behind"
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library,
                    pathlib.Path(__file__).with_name("clock.c")], check=True)
    prefix = "CERTCTL_EST_PROFILE_OLD_"
    with stack.settings("workers", "pki", "est", LD_PRELOAD=library,
                        CLOCK_BEHIND=behind, **{
            "CERTCTL_EST_PROFILES": "demo,old",
            prefix + "ISSUER_ID": levels["a root"],
            prefix + "ALLOWED_AUTH_MODES": "basic",
            prefix + "ENROLLMENT_PASSWORD":
                stack.env["CERTCTL_EST_PASSWORD"]}):
        try:
            yield behind
        finally:
            behind.unlink(missing_ok=True)


def test_a_clock_set_back_an_hour(stack, world, agent, pki, levels, clock):
    all_three = [Issued(world, agent, levels["a root"]) for _ in range(3)]
    first, second, third = all_three

    def answers():
        return [status_of(pki.ask(one.request(), one.name))
                for one in all_three]

    def revoke(one):
        ok(one.revoke("keyCompromise"))
        one.listed(pki, one.name, 15)
        return number_of(pki.crl(one.name))

    wait_for(lambda: answers() == ["good"] * 3, what="a responder")
    numbers, device = [revoke(first)], Device(stack, label="old")
    clock.touch()
    # A responder that is too young by now is replaced.
    wait_for(lambda: answers() == ["revoked", "good", "good"],
             what="answers an hour ago")
    device.insist()
    begin = openssl("x509", "-noout", "-startdate",
                    stdin=device.cert.encode()).decode().split("=")[1]
    assert ssl.cert_time_to_seconds(begin.strip()) < time.time() - 3000
    numbers.append(revoke(second))
    wait_for(lambda: answers() == ["revoked", "revoked", "good"], 8,
             what="the second revocation")
    # That of a CA that is too young by now is no fault of the device's.
    assert Device(stack).ask(500) == 500
    events = "SELECT count(*) FROM crl_generation_events"
    before, _ = stack.sql(events), time.sleep(2)
    made = int(stack.sql(events)[0][0]) - int(before[0][0])
    assert made <= 4, "lists are made again and again"
    clock.unlink()
    wait_for(lambda: answers() == ["revoked", "revoked", "good"],
             what="answers now")
    numbers.append(revoke(third))
    assert numbers == sorted(set(numbers))
    wait_for(lambda: answers() == ["revoked"] * 3, 8, what="all revoked")
    record.check(stack, [device.cert], [pki.crl(first.name)])
