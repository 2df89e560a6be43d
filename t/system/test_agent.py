"""certctl-agent by itself: what it says, keeps, and does when things fail."""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import signal
import stat
import subprocess
import time

import pytest

from lib import fingerprint_of, openssl, wait_for
from stack import free_ports
from stub import Stub

AGENT_ID = "agent-1700000000-1"
KEY = "k" * 43
ROUNDS = int(os.environ.get("CERTCTL_KILL_ROUNDS", "12"))


@pytest.fixture(scope="module")
def program():
    build = pathlib.Path(os.environ["CERTCTL_BUILD_DIR"])
    found = [p for p in build.rglob("certctl-agent")
             if p.is_file() and os.access(p, os.X_OK)]
    assert found, f"no certctl-agent below {build}"
    return str(found[0])


@pytest.fixture
def stub(tmp_path):
    (tmp_path / "stub").mkdir()
    made = Stub(tmp_path / "stub")
    yield made
    made.close()


class Agent:
    """The program, its key directory and its log."""

    def __init__(self, program, stub, directory):
        self.program, self.stub, self.dir = program, stub, directory
        self.keys = directory / "keys"
        self.log = directory / "agent.log"
        self.process = None
        self.env = {"CERTCTL_SERVER_URL": stub.url,
                    "CERTCTL_SERVER_CA_BUNDLE_PATH": stub.bundle,
                    "CERTCTL_KEY_DIR": str(self.keys),
                    "CERTCTL_AGENT_ID": AGENT_ID, "CERTCTL_API_KEY": KEY,
                    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}

    def start(self, *flags, **env):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [self.program, *flags], stdout=log, stderr=log,
                env={**self.env, **env})
        return self

    def stop(self, how=signal.SIGTERM, timeout=20):
        self.process.send_signal(how)
        return self.process.wait(timeout)

    def worker(self):
        with contextlib.suppress(OSError):
            pid = self.process.pid
            children = pathlib.Path(
                f"/proc/{pid}/task/{pid}/children").read_text().split()
            return int(children[0]) if children else None

    def said(self):
        lines = []
        for line in self.log.read_text().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines

    def key(self, certificate_id, which=""):
        path = self.keys / f"{certificate_id}.key{which}"
        return path.read_bytes() if path.exists() else None

    def files(self):
        """All of the key directory, but locks and copies of certificates."""
        return sorted(str(p.relative_to(self.keys))
                      for p in self.keys.rglob("*")
                      if p.is_file() and not p.name.endswith("lock") and
                      ".crt." not in p.name)


@pytest.fixture
def agent(program, stub, tmp_path):
    made = Agent(program, stub, tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def site(tmp_path):
    """A target whose server is a script that notes that it was called."""
    live = tmp_path / "live"
    live.mkdir()

    def config(name="site", **over):
        reload = tmp_path / "reload"
        if not reload.exists():
            reload.write_text(f"#!/bin/sh\necho x >>{tmp_path}/reloads\n")
            reload.chmod(0o755)
        return {"cert_path": f"{live}/{name}.crt",
                "key_path": f"{live}/{name}.key",
                "reload_command": str(reload), "validate_command": "true",
                **over}
    config.dir, config.live = tmp_path, live
    return config


def script(site, name, body):
    path = site.dir / name
    path.write_text("#!/bin/sh\n" + body + "\n")
    path.chmod(0o755)
    return str(path)


def done(stub, job, timeout=20):
    return wait_for(lambda: stub.result(job), timeout,
                    what="the result of " + job)


def public(key):
    return openssl("pkey", "-pubout", stdin=key)


def public_of(certificate):
    return openssl("x509", "-noout", "-pubkey", stdin=certificate)


def issued(stub, certificate_id):
    return wait_for(lambda: stub.certificates.get(certificate_id),
                    what="the certificate")


def deployments(stub):
    return [j for j in stub.statuses if stub.result(j)]


# ---- Start ------------------------------------------------------------------

def once(program, *flags, **env):
    return subprocess.run([program, *flags], capture_output=True, text=True,
                          env=env, timeout=20)


@pytest.mark.parametrize("flags,status,says", [
    (["-h"], 0, "-server"), (["--help"], 0, "CERTCTL_KEY_DIR"),
    (["--version"], 0, "certctl-agent 0."),
    (["-no-such"], 2, "unknown flag"), (["--server"], 2, "needs a value"),
    (["-insecure-skip-verify=maybe"], 2, "neither true nor false")])
def test_flags_and_their_exit_status(program, flags, status, says):
    done = once(program, *flags)
    assert done.returncode == status
    assert says in (done.stdout if status == 0 else done.stderr)


WITH_ID = {"CERTCTL_API_KEY": "k", "CERTCTL_AGENT_ID": "agent-1"}


@pytest.mark.parametrize("flags,env,says", [
    ([], {}, "no API key"),
    ([], {"CERTCTL_API_KEY": ""}, "no API key"),
    (["-api-key", "k"], {}, "no agent id"),
    ([], {"CERTCTL_AGENT_ID": "../x", "CERTCTL_API_KEY": "k"}, "agent id"),
    (["-server", ""], WITH_ID, "is empty"),
    (["-server", "https://a b"], WITH_ID, "cannot be parsed"),
    (["--server=localhost:8443"], WITH_ID, "no scheme"),
    (["-server", "http://localhost"], WITH_ID, "plain http"),
    (["-server", "ftp://localhost"], WITH_ID, "other than https"),
    (["-server", "https://"], WITH_ID, "no host"),
    (["-ca-bundle", "/no/such/file"], WITH_ID, "/no/such/file"),
    (["-ca-bundle=/etc/hostname"], WITH_ID, "certificate")])
def test_startup_checks_say_what_is_wrong(program, flags, env, says, tmp_path):
    done = once(program, *flags, CERTCTL_KEY_DIR=str(tmp_path / "k"), **env)
    assert done.returncode == 1 and says in done.stderr, done.stderr
    assert not (tmp_path / "k").exists()


def test_a_flag_wins_over_its_variable(agent, stub):
    agent.start("-agent-id", "agent-flag", "--api-key=flag-key")
    call = wait_for(lambda: stub.asked("POST .*/agent-flag/heartbeat"))[0]
    assert call.headers["Authorization"] == "Bearer flag-key"


def test_the_first_calls_come_at_once_and_are_the_contracts(agent, stub):
    start = time.monotonic()
    agent.start()
    beat = wait_for(lambda: stub.asked("POST .*/heartbeat"))[0]
    poll = wait_for(lambda: stub.asked("GET .*/work"))[0]
    assert max(beat.at, poll.at) - start < 2
    for call in (beat, poll):
        assert call.path.startswith(f"/api/v1/agents/{AGENT_ID}/")
        assert call.headers["Authorization"] == f"Bearer {KEY}"
        assert call.headers["Content-Type"] == "application/json"
    assert set(beat.body) == {"version", "hostname", "os", "architecture",
                              "ip_address"}
    assert beat.body["os"] == "linux" and all(
        isinstance(v, str) for v in beat.body.values())
    assert stat.S_IMODE(agent.keys.stat().st_mode) == 0o700
    assert agent.stop() == 0
    assert KEY not in agent.log.read_text()


def test_discovery_is_warned_of(agent, stub):
    agent.start("-discovery-dirs", "/etc/ssl,/opt")
    wait_for(lambda: any(line["level"] == "WARN" and "discovery" in line["msg"]
                         for line in agent.said()))


def test_an_untrusted_server_gets_nothing(agent, stub, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    stranger = Stub(other)
    agent.start(CERTCTL_SERVER_CA_BUNDLE_PATH=stranger.bundle)
    wait_for(lambda: any("certificate" in line.get("error", "")
                         for line in agent.said()))
    assert stub.calls == []
    stranger.close()


# ---- The main job -----------------------------------------------------------

def test_csr_issue_deploy_renew(agent, stub, site):
    agent.start()
    stub.pending = 0
    stub.want_csr("mc-web", [site()], sans=["localhost", "127.0.0.1"])
    wait_for(lambda: len(deployments(stub)) == 1)
    first = stub.certificates["mc-web"].encode()
    job = deployments(stub)[0]
    assert [s["status"] for s in stub.statuses[job]] == [
        "Running", "Completed"]
    csr = stub.asked("POST .*/csr")[0].body
    shown = openssl("req", "-noout", "-text", "-subject", "-verify",
                    stdin=csr["csr_pem"].encode()).decode()
    assert "DNS:localhost, IP Address:127.0.0.1" in shown
    assert "subject=CN = localhost" in shown and "NIST CURVE: P-256" in shown
    live = site.live / "site.key"
    assert public(live.read_bytes()) == public_of(first)
    assert stat.S_IMODE(live.stat().st_mode) == 0o600
    assert (site.live / "site.crt").read_bytes() == first
    assert agent.files() == ["mc-web.key"]
    assert stat.S_IMODE((agent.keys / "mc-web.key").stat().st_mode) == 0o600
    old = agent.key("mc-web")

    stub.want_csr("mc-web", [site()])
    wait_for(lambda: len(deployments(stub)) == 2)
    second = stub.certificates["mc-web"].encode()
    assert public(live.read_bytes()) == public_of(second)
    assert public(agent.key("mc-web")) == public_of(second) != public(old)
    # Nothing keeps the old key: not the key directory, not a copy.
    wait_for(lambda: "mc-web.key.previous" not in agent.files())
    for path in [p for p in agent.keys.rglob("*") if p.is_file()]:
        assert old.split(b"\n")[2] not in path.read_bytes(), path
    assert (site.dir / "reloads").read_text() == "x\nx\n"
    assert agent.stop() == 0
    for line in agent.said():
        assert "PRIVATE" not in json.dumps(line)


@pytest.mark.parametrize("pending,kept", [(0, False), (1, True),
                                          (None, False)])
def test_the_previous_key_stays_until_every_target_has_the_new(
        agent, stub, site, pending, kept):
    agent.start()
    stub.want_csr("mc-k", [site()])
    wait_for(lambda: len(deployments(stub)) == 1)
    old = agent.key("mc-k")
    stub.pending = pending
    stub.want_csr("mc-k", [site()])
    wait_for(lambda: len(deployments(stub)) == 2)
    wait_for(lambda: not list((agent.keys / ".certctl/jobs").iterdir()))
    assert agent.key("mc-k", ".previous") == (old if kept else None)


def test_one_certificate_on_two_targets(agent, stub, site):
    agent.start()
    stub.want_csr("mc-two", [site("one"), site("two")])
    wait_for(lambda: len(deployments(stub)) == 2)
    stub.want_csr("mc-two", [site("one"), site("two", validate_command=
                                               "false")])
    wait_for(lambda: len(deployments(stub)) == 4)
    results = [stub.result(j)[0] for j in sorted(stub.statuses)]
    assert results == ["Completed"] * 3 + ["Failed"]
    new = stub.certificates["mc-two"].encode()
    assert public((site.live / "one.key").read_bytes()) == public_of(new)
    # The one that failed still holds its old pair.
    assert public((site.live / "two.key").read_bytes()) == public_of(
        (site.live / "two.crt").read_bytes()) != public_of(new)


@pytest.mark.parametrize("asked,shown", [
    ({"key_algorithm": "ECDSA", "key_size": 384}, "NIST CURVE: P-384"),
    ({"key_algorithm": "RSA", "key_size": 3072}, "(3072 bit)"),
    ({"key_algorithm": "RSA"}, "(2048 bit)")])
def test_the_profile_chooses_the_key(agent, stub, asked, shown):
    agent.start()
    stub.want_csr("mc-key", **asked)
    issued(stub, "mc-key")
    csr = stub.asked("POST .*/csr")[0].body["csr_pem"]
    assert shown in openssl("req", "-noout", "-text",
                            stdin=csr.encode()).decode()


# ---- What cannot be done ----------------------------------------------------

def test_failures_are_reported_with_the_contracts_prefixes(
        agent, stub, site, tmp_path):
    agent.start()
    stub.want_csr("mc-a")
    issued(stub, "mc-a")
    stub.certificates["mc-other"] = stub.certificates["mc-a"]
    good = site()
    cases = [
        (stub.want_csr("../../evil"), "key path validation failed: "),
        (stub.want_csr("mc-nameless", common_name=""), "empty common name"),
        (stub.want_csr("mc-odd", key_algorithm="DSA"),
         "key generation failed: "),
        (stub.want_csr("mc-bad", sans=["no name"]), "CSR creation failed: "),
        (stub.deploy("../../evil", good), "key path validation failed: "),
        (stub.deploy("mc-none", good), "cert fetch failed: "),
        (stub.deploy("mc-other", good), "key read failed: "),
        (stub.deploy("mc-a", good, type="Tomcat"),
         "connector init failed: unsupported target type: Tomcat"),
        (stub.deploy("mc-a", good, type="F5"), "connector init failed: "),
        (stub.deploy("mc-a", dict(good, watch_dir="/x")),
         "NGINX config validation failed: unknown member"),
        (stub.deploy("mc-a", dict(good, reload_command="a|b")),
         "NGINX config validation failed: reload_command"),
        (stub.deploy("mc-a", dict(good, reload_command="********")),
         "deployment failed: "),
        (stub.deploy("mc-a", dict(good, validate_command="false")),
         "deployment failed: validation failed; rolled back"),
    ]
    for job, prefix in cases:
        status, error = done(stub, job)
        assert status == "Failed" and error.startswith(prefix), (job, error)
    assert done(stub, stub.deploy("mc-a", None, type=None)) == (
        "Completed", None)
    assert list(site.live.iterdir()) == []
    assert not (tmp_path / "evil.key").exists()
    assert [f for f in agent.files() if "evil" in f] == []


def test_a_refused_csr_fails_the_job_and_keeps_the_live_key(
        agent, stub, site):
    agent.start()
    stub.want_csr("mc-r", [site()])
    wait_for(lambda: len(deployments(stub)) == 1)
    key = agent.key("mc-r")
    stub.fault("/csr", 400)
    job = stub.want_csr("mc-r")
    status, error = done(stub, job)
    assert status == "Failed" and error.startswith("CSR rejected: ")
    assert "told to answer 400" in error
    assert agent.key("mc-r") == key


@pytest.mark.parametrize("action", ["drop", 503])
def test_a_csr_whose_answer_is_lost_is_sent_again_with_its_key(
        agent, stub, site, action):
    stub.fault("/csr", action, 2)
    agent.start()
    stub.want_csr("mc-lost", [site()])
    wait_for(lambda: len(deployments(stub)) == 1)
    sent = {public_of_csr(c.body["csr_pem"])
            for c in stub.asked("POST .*/csr")}
    assert len(sent) == 1
    assert stub.result(deployments(stub)[0])[0] == "Completed"


def public_of_csr(pem):
    return openssl("req", "-noout", "-pubkey", stdin=pem.encode())


# ---- Verification -----------------------------------------------------------

@contextlib.contextmanager
def tls_server(site, port, source="site"):
    """openssl s_server with the pair of SOURCE as it is now."""
    p = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-quiet",
         "-cert", f"{site.live}/{source}.crt", "-key",
         f"{site.live}/{source}.key"], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield p
    finally:
        p.kill()
        p.wait()


def verification(stub, job):
    return [c.body for c in stub.asked(f"POST /api/v1/jobs/{job}/verify")]


def test_what_is_served_is_verified_and_reported(agent, stub, site):
    port, = free_ports(1)
    agent.start()
    stub.want_csr("mc-v", [site("other")])
    wait_for(lambda: len(deployments(stub)) == 1)
    fingerprint = stub.fingerprint("mc-v")
    with tls_server(site, port, "other"):
        job = stub.deploy("mc-v", site("other", host="127.0.0.1", port=port),
                          fingerprint=fingerprint)
        assert done(stub, job) == ("Completed", None)
        assert verification(stub, job) == [{
            "target_id": "target-1", "expected_fingerprint": fingerprint,
            "actual_fingerprint": fingerprint, "verified": True, "error": ""}]
        # The server goes on serving what it read at its start.
        stub.want_csr("mc-v")
        wait_for(lambda: stub.fingerprint("mc-v") != fingerprint)
        job = stub.deploy("mc-v", site("other", host="127.0.0.1", port=port))
        status, error = done(stub, job, 30)
        assert status == "Failed"
        assert error.startswith("deployment failed: verification failed: ")
        said, = verification(stub, job)
        assert said["expected_fingerprint"] == stub.fingerprint("mc-v")
        assert said["actual_fingerprint"] == fingerprint
        assert said["verified"] is False and said["error"]


def test_a_server_out_of_reach_is_reported_but_fails_nothing(
        agent, stub, site):
    port, = free_ports(1)
    agent.start()
    stub.want_csr("mc-u", [site(address="127.0.0.1", port=port)])
    wait_for(lambda: len(deployments(stub)) == 1, 30)
    job = deployments(stub)[0]
    assert stub.result(job) == ("Completed", None)
    said, = verification(stub, job)
    assert said["actual_fingerprint"] == "" and said["verified"] is False
    assert "connect" in said["error"]


# ---- Servers that fail, and crashes -----------------------------------------

@pytest.mark.parametrize("where,source", [("/heartbeat", "heartbeat"),
                                          ("/work", "work_poll")])
def test_410_ends_the_agent_with_exit_status_0(agent, stub, where, source):
    stub.fault(where, 410, 99)
    agent.start()
    assert agent.process.wait(10) == 0
    said = [line for line in agent.said() if line.get("source") == source]
    assert len(said) == 1 and said[0]["level"] == "ERROR"
    assert "told to answer 410" in said[0]["error"]


def test_polls_back_off_and_come_back_soon(agent, stub):
    stub.fault("/work", 500, 3)
    agent.start()
    wait_for(lambda: len(stub.asked("GET .*/work")) >= 5, 30)
    at = [c.at for c in stub.asked("GET .*/work")]
    gaps = [b - a for a, b in zip(at, at[1:])]
    for gap, want in zip(gaps, (1, 2, 4, 1)):
        assert 0.7 * want < gap < 1.3 * want + 0.5, gaps


def test_the_server_paces_polling(agent, stub):
    stub.poll_seconds = 2
    agent.start()
    wait_for(lambda: len(stub.asked("GET .*/work")) >= 3)
    at = [c.at for c in stub.asked("GET .*/work")]
    assert all(1.7 < b - a < 2.5 for a, b in zip(at, at[1:])), at


@pytest.mark.parametrize("status", [401, 404])
def test_an_agent_nobody_knows_says_so_and_keeps_quiet(agent, stub, status):
    stub.fault("/agents/", status, 99)
    agent.start()
    wait_for(lambda: any("does not know this agent" in line["msg"]
                         for line in agent.said()))
    time.sleep(4)
    assert len(stub.asked("GET .*/work")) == 1
    assert len(stub.asked("POST .*/heartbeat")) == 1
    assert agent.stop() == 0


def test_results_are_sent_until_they_are_heard(agent, stub, site):
    agent.start()
    stub.want_csr("mc-s")
    issued(stub, "mc-s")
    stub.fault("/status", 503, 3)	# Running, then the result twice
    job = stub.deploy("mc-s", site())
    assert done(stub, job) == ("Completed", None)
    assert (site.dir / "reloads").read_text() == "x\n"
    stub.fault("/status", 400, 2)	# a refusal is an answer
    job = stub.deploy("mc-s", site())
    wait_for(lambda: len(stub.asked(f"POST .*/{job}/status")) == 2)
    wait_for(lambda: not list((agent.keys / ".certctl/jobs").iterdir()))


def test_a_result_outlives_a_kill(agent, stub, site):
    agent.start()
    stub.want_csr("mc-o")
    issued(stub, "mc-o")
    stub.fault("/status", 503, 99)
    job = stub.deploy("mc-o", site(validate_command="false"))
    wait_for(lambda: len(stub.asked(f"POST .*/{job}/status")) >= 2)
    os.kill(agent.worker(), signal.SIGKILL)
    agent.process.kill()
    agent.process.wait()
    stub.heal()
    agent.start()
    status, error = done(stub, job)
    assert status == "Failed" and "validation failed" in error


def test_a_deployment_taken_on_outlives_a_kill(agent, stub, site):
    """The server does not offer it again: the journal has to."""
    agent.start()
    stub.want_csr("mc-c")
    issued(stub, "mc-c")
    slow = script(site, "slow", f"touch {site.dir}/begun; sleep 3")
    job = stub.deploy("mc-c", site(validate_command=slow))
    wait_for(lambda: (site.dir / "begun").exists())
    os.kill(agent.worker(), signal.SIGKILL)
    agent.process.kill()
    agent.process.wait()
    agent.start()
    assert done(stub, job) == ("Completed", None)
    assert public((site.live / "site.key").read_bytes()) == public_of(
        stub.certificates["mc-c"].encode())
    assert any("interrupted" in line["msg"] for line in agent.said())


@pytest.mark.parametrize("reload,status", [("true", "Completed"),
                                           ("false", "Failed")])
def test_sigterm_lets_a_deployment_finish_or_roll_back(
        agent, stub, site, reload, status):
    agent.start()
    stub.want_csr("mc-t", [site()])
    wait_for(lambda: len(deployments(stub)) == 1)
    before = (site.live / "site.crt").read_bytes()
    stub.want_csr("mc-t")
    wait_for(lambda: stub.certificates["mc-t"].encode() != before)
    slow = script(site, "slow", f"touch {site.dir}/begun; sleep 2")
    job = stub.deploy("mc-t", site(validate_command=slow, reload_command=
                                   reload))
    wait_for(lambda: (site.dir / "begun").exists())
    assert agent.stop() == 0
    assert stub.result(job)[0] == status
    after = (site.live / "site.crt").read_bytes()
    assert (after == before) == (status == "Failed")
    assert public((site.live / "site.key").read_bytes()) == public_of(after)
    assert agent.process.poll() == 0


def test_the_heart_beats_while_a_deployment_runs(agent, stub, site):
    stub.fault("/heartbeat", 500, 3)
    agent.start()
    stub.want_csr("mc-h")
    issued(stub, "mc-h")
    slow = script(site, "slow", f"touch {site.dir}/begun; sleep 6")
    stub.fault("/heartbeat", 500, 99)
    job = stub.deploy("mc-h", site(validate_command=slow))
    wait_for(lambda: (site.dir / "begun").exists())
    beats = len(stub.asked("POST .*/heartbeat"))
    wait_for(lambda: len(stub.asked("POST .*/heartbeat")) > beats, 6)
    assert stub.result(job) is None


def test_a_dead_worker_is_replaced_and_none_is_left_alone(agent, stub):
    agent.start()
    wait_for(lambda: stub.asked("GET .*/work"))
    first = agent.worker()
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: agent.worker() not in (None, first) and
                      agent.worker())
    agent.process.kill()
    agent.process.wait()
    wait_for(lambda: not pathlib.Path(f"/proc/{second}").exists())


def test_one_agent_a_key_directory(agent, stub, program, tmp_path):
    agent.start()
    wait_for(lambda: stub.asked("GET .*/work"))
    other = Agent(program, stub, tmp_path)
    other.log = tmp_path / "other.log"
    other.start()
    time.sleep(1)
    assert other.worker() is None
    agent.stop()
    wait_for(other.worker)
    other.stop()


def test_processes_stay_small(agent, stub, site):
    agent.start()
    stub.want_csr("mc-m", [site()])
    wait_for(lambda: len(deployments(stub)) == 1)
    maps = pathlib.Path(f"/proc/{agent.process.pid}/maps").read_text()
    if "libasan" in maps:
        pytest.skip("sanitizers need room")
    for pid in (agent.process.pid, agent.worker()):
        peak, = [line.split()[1] for line in
                 pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                 if line.startswith("VmHWM")]
        print("peak resident:", peak, "kB")
        assert int(peak) < 20 * 1024


def test_kills_at_random_lose_and_double_nothing(agent, stub, site):
    """Renewals while worker or agent is killed, again and again."""
    stub.pending = 0
    agent.start()
    wait_for(lambda: stub.asked("GET .*/work"))
    for _ in range(ROUNDS):
        before = len(deployments(stub))
        stub.want_csr("mc-x", [site()])
        time.sleep(random.uniform(0, 1.5))
        victim = random.choice(["worker", "agent", "both"])
        worker = agent.worker()
        if victim != "agent" and worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        if victim != "worker":
            agent.process.kill()
            agent.process.wait()
            agent.start()
        wait_for(lambda: len(deployments(stub)) == before + 1, 40,
                 what="the deployment")
        assert stub.result(deployments(stub)[-1]) == ("Completed", None)
        live = (site.live / "site.crt").read_bytes()
        assert live.decode() == stub.certificates["mc-x"]
        assert public((site.live / "site.key").read_bytes()) == \
            public_of(live)
    wait_for(lambda: agent.files() == ["mc-x.key"], what="tidiness")
    for job, said in stub.statuses.items():
        assert {s["status"] for s in said} == {"Running", "Completed"}
    assert agent.stop() == 0


# ---- Registration -----------------------------------------------------------

NEW = {"CERTCTL_AGENT_ID": "", "CERTCTL_API_KEY": "",
       "CERTCTL_AGENT_BOOTSTRAP_TOKEN": "let-me-in"}


def test_it_registers_itself_and_is_the_same_afterwards(agent, stub):
    stub.fault("POST /api/v1/agents$", "drop", 1)
    stub.fault("POST /api/v1/agents$", 503, 1)
    agent.start("-name", "web-7", **NEW)
    beat = wait_for(lambda: stub.asked("POST .*/heartbeat"))[0]
    asked = stub.asked("POST /api/v1/agents")
    assert len(asked) == 3 and len(stub.registered) == 1
    assert asked[0].headers["X-Certctl-Bootstrap-Token"] == "let-me-in"
    assert "Authorization" not in asked[0].headers
    key = beat.headers["Authorization"].removeprefix("Bearer ")
    assert len(key) == 43
    assert asked[-1].body == {
        "name": "web-7", "hostname": beat.body["hostname"], "os": "linux",
        "architecture": beat.body["architecture"],
        "ip_address": beat.body["ip_address"],
        "version": beat.body["version"],
        "api_key_sha256": hashlib.sha256(key.encode()).hexdigest()}
    identity = agent.keys / ".certctl/identity.json"
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600
    assert agent.stop() == 0

    # Without the token from here on.
    beats = len(stub.asked("POST .*/heartbeat"))
    agent.start(**dict(NEW, CERTCTL_AGENT_BOOTSTRAP_TOKEN=""))
    wait_for(lambda: len(stub.asked("POST .*/heartbeat")) > beats)
    assert stub.asked("POST .*/heartbeat")[-1].path == beat.path
    assert len(stub.asked("POST /api/v1/agents")) == 3


@pytest.mark.parametrize("status,says", [(401, "answered 401"),
                                         (409, "answered 409")])
def test_a_registration_that_is_refused_ends_it(agent, stub, status, says):
    stub.fault("POST /api/v1/agents$", status, 1)
    agent.start(**NEW)
    assert agent.process.wait(10) == 1
    assert says in agent.log.read_text()


def test_sigterm_ends_a_registration(agent, stub):
    stub.fault("POST /api/v1/agents$", 503, 99)
    agent.start(**NEW)
    wait_for(lambda: stub.asked("POST /api/v1/agents"))
    assert agent.stop() == 0
