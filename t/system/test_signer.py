"""CA keys are in certctl-signer and nowhere else, whatever happens to it."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading

import pytest

import record
from est import Device
from lib import make_csr, ok, wait_for
from pki import Issued, number_of, status_of

as_root = pytest.mark.skipif(os.geteuid() != 0,
                             reason="only root sees other users' memory")


@pytest.fixture(autouse=True)
def everything_is_up(stack):
    yield
    stack.start("signer", "workers")


def socket_path(stack):
    return str(pathlib.Path(stack.run("place").strip()) /
               "run/signer/signer.sock")


def submit_many(world, n, **over):
    agent = world.agent()
    target = world.target(agent)["id"]
    made = [world.certificate(target_ids=[target], **over) for _ in range(n)]
    for c in made:
        world.renew(c)
        ok(agent.submit(make_csr(c["common_name"], c["sans"])[1], c["id"]),
           202)
    return made


def all_of(certificates):
    return ",".join(f"'{c['id']}'" for c in certificates)


def active(db, certificates):
    return int(db("SELECT count(*) FROM managed_certificates WHERE status = "
                  f"'Active' AND id IN ({all_of(certificates)})")[0][0])


@as_root
def test_the_signer_leaves_no_core_and_no_network(stack):
    pid, = stack.processes("signer", "certctl-signer")
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0", limits)
    # What is not dumpable belongs to root in /proc.
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    kinds = {os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0]
             for fd in os.listdir(f"/proc/{pid}/fd")}
    inodes = [os.readlink(f"/proc/{pid}/fd/{fd}")[8:-1]
              for fd in os.listdir(f"/proc/{pid}/fd")
              if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")]
    unix = pathlib.Path("/proc/net/unix").read_text().split()
    assert "socket" in kinds and all(i in unix for i in inodes)


# ---- The door --------------------------------------------------------

KNOCK = """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(10)
s.connect(sys.argv[1])
print(s.recv(65536)[3:].decode(errors="replace"))
"""


def knock(stack, uid, gid):
    return subprocess.run(
        ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups",
         sys.executable, "-c", KNOCK, socket_path(stack)],
        capture_output=True, text=True, timeout=30)


@as_root
def test_strangers_are_turned_away(stack):
    outside = knock(stack, "nobody", "nogroup")
    assert outside.returncode != 0 and "PermissionError" in outside.stderr
    inside = knock(stack, "nobody", "daemon")
    assert "may not use the signer" in inside.stdout, inside.stderr
    wait_for(lambda: "turned away" in stack.log("signer"),
             what="a line in the log")


@as_root
def test_an_account_gets_the_kinds_it_is_named_for(stack, world, db):
    def waiting():
        return db("SELECT count(*) FROM ca_keys k JOIN issuer_ca_keys l ON "
                  "l.ca_key_id = k.id WHERE l.issuer_id = 'iss-local' "
                  "AND crl_wanted_at IS NOT NULL")

    wait_for(lambda: waiting() == [["0"]], 15, what="lists that are made")
    with stack.settings("signer", CERTCTL_SIGNER_ALLOW="daemon:certificate"):
        one, = submit_many(world, 1)
        wait_for(lambda: active(db, [one]) == 1, 30, what="one issued")
        ok(world.api.post(f"/certificates/{one['id']}/revoke",
                          {"reason": "keyCompromise"}))
        wait_for(lambda: r'may not ask the signer for \"crl\"' in
                 stack.log("signer"), what="a refusal")
        wait_for(lambda: waiting() == [["1"]], what="another try")
    db("UPDATE ca_keys SET crl_wanted_at = now() "
       "WHERE crl_wanted_at IS NOT NULL")       # not in ten seconds
    wait_for(lambda: waiting() == [["0"]], 30, what="the list")


def test_nonsense_costs_nobody_anything(stack, world, db):
    def shout():
        for n in range(400):
            with contextlib.suppress(OSError), socket.socket(
                    socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.settimeout(5)
                s.connect(socket_path(stack))
                # Descriptors beside it, with and without octets.
                socket.send_fds(s, [os.urandom(n * (n % 3))], [0] * (n % 4))
                s.recv(65536)

    def held():
        return len(os.listdir(f"/proc/{pids[0]}/fd")) if os.geteuid() == 0 \
            else 0

    pids = stack.processes("signer", "certctl-signer")
    before = held()
    thread = threading.Thread(target=shout)
    thread.start()
    certificates = submit_many(world, 5)
    wait_for(lambda: active(db, certificates) == 5, 30, what="5 issued")
    thread.join()
    assert stack.processes("signer", "certctl-signer") == pids
    assert held() < before + 40


# ---- Faults ----------------------------------------------------------

def test_a_killed_signer_costs_time_and_nothing_else(stack, world, db):
    stack.stop("workers")
    certificates = submit_many(world, 40)
    stack.start("workers")
    for _ in range(5):
        wait_for(lambda: stack.kill("signer", "certctl-signer"), 10,
                 what="a signer to kill")
    wait_for(lambda: active(db, certificates) == len(certificates), 60,
             every=0.2, what="everything issued")
    ids = all_of(certificates)
    assert db("SELECT max(attempts) FROM jobs WHERE type = 'Issuance' AND "
              f"certificate_id IN ({ids})") == [["1"]]
    assert db("SELECT count(*) FROM certificate_versions WHERE "
              f"certificate_id IN ({ids})") == [[str(len(certificates))]]
    recorded = {r["tbs"] for r in record.records(stack)}
    intents = {h for h, in db("SELECT tbs_sha256 FROM issuance_intents "
                              f"WHERE certificate_id IN ({ids})")}
    assert len(intents) == len(certificates) and intents <= recorded


def test_workers_wait_for_the_signer_without_noise(stack, world, db):
    workers = "workers-1", "workers-2"
    stack.stop("signer")
    before = [len(stack.log(w)) for w in workers]
    certificates = submit_many(world, 10)
    with pytest.raises(AssertionError):
        wait_for(lambda: active(db, certificates), 4, what="")
    assert db("SELECT max(attempts) FROM jobs WHERE type = 'Issuance' AND "
              f"certificate_id IN ({all_of(certificates)})")[0][0] in "01"
    text = "".join(stack.log(w)[n:] for w, n in zip(workers, before))
    assert "the signer cannot be reached" in text
    assert text.count("jobs wait") <= 8, "at most once for each process"
    stack.start("signer")
    wait_for(lambda: active(db, certificates) == 10, 30, what="10 issued")


def profile_of(stack, issuer):
    """Settings that add the EST profile "token"."""
    prefix = "CERTCTL_EST_PROFILE_TOKEN_"
    return {"CERTCTL_EST_PROFILES": "demo,token",
            prefix + "ISSUER_ID": issuer["id"],
            prefix + "ALLOWED_AUTH_MODES": "basic",
            prefix + "ENROLLMENT_PASSWORD":
                stack.env["CERTCTL_EST_PASSWORD"]}


def test_a_ca_on_a_token_issues_and_survives_its_removal(stack, world, db,
                                                         token, pki, agent):
    issuer = world.issuer(config=dict(token.config, validity_days=30))
    one = Issued(world, agent, issuer["id"]).answered(pki)
    wait_for(lambda: pki.call("GET", f"/crl/{one.name}").status == 200,
             what="its first list")
    tokens, away = token.place / "tokens", token.place / "away"
    with stack.settings("est", **profile_of(stack, issuer)):
        Device(stack, "token").insist()
        number = number_of(pki.crl(one.name))
        tokens.rename(away)
        tokens.mkdir()
        second = submit_many(world, 5, issuer_id=issuer["id"])
        others = submit_many(world, 5)
        device = Device(stack, "token")
        assert device.ask() == 202
        ok(one.revoke("keyCompromise"))
        assert status_of(pki.ask(one.request(), one.name)) == "revoked"
        wait_for(lambda: active(db, others) == 5, 30,
                 what="the other issuer to go on")
        assert Device(stack).ask() == 200
        assert active(db, second) == 0 and device.ask() == 202
        assert number_of(pki.crl(one.name)) == number
        tokens.rmdir()
        away.rename(tokens)
        device.insist()
    wait_for(lambda: active(db, second) == 5, 30, what="5 issued")
    assert db("SELECT max(attempts) FROM jobs WHERE type = 'Issuance' AND "
              f"certificate_id IN ({all_of(second)})") == [["1"]]
    one.listed(pki, one.name, 25)
    assert number_of(pki.crl(one.name)) > number
    record.check(stack, [one.leaf, device.cert], [pki.crl(one.name)])
