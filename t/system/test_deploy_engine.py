"""The deployment engine against servers of its own, as root or not.

deploy-once runs one deployment; what the servers present is asked over TLS.
"""

import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import random
import signal
import stat
import subprocess
import threading
import time

import pytest

from lib import fingerprint_of, openssl, served_certificate, split_chain, \
    wait_for
from stack import free_ports

ROUNDS = int(os.environ.get("CERTCTL_CRASH_ROUNDS", "50"))
ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def deploy_once():
    build = pathlib.Path(os.environ["CERTCTL_BUILD_DIR"])
    found = [p for p in build.rglob("deploy-once") if os.access(p, os.X_OK)]
    assert found, f"no deploy-once below {build}"
    return found[0]


class Pair:
    """A leaf, its issuer and its key, in files."""

    def __init__(self, ca, directory):
        self.dir = directory
        directory.mkdir()
        self.leaf, self.key = directory / "leaf.pem", directory / "key.pem"
        self.chain = ca / "ca.pem"
        csr = directory / "csr.pem"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(self.key),
                "-out", str(csr), "-subj", "/CN=localhost")
        openssl("x509", "-req", "-in", str(csr), "-CA", str(self.chain),
                "-CAkey", str(ca / "ca.key"), "-days", "5", "-set_serial",
                str(random.getrandbits(100)), "-out", str(self.leaf))
        self.fingerprint = fingerprint_of(self.leaf.read_text())


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    d = tmp_path_factory.mktemp("ca")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(d / "ca.key"),
            "-out", str(d / "ca.pem"), "-subj", "/CN=Engine Test CA",
            "-days", "9", "-addext", "basicConstraints=critical,CA:TRUE")
    return d


@pytest.fixture(scope="module")
def pairs(ca):
    return [Pair(ca, ca / f"pair{i}") for i in range(3)]


# ---- The servers

class Server:
    """A server in a directory of its own on a free port."""

    def __init__(self, directory, pair):
        self.dir = directory
        self.port, = free_ports(1)
        self.live = directory / "live"
        self.live.mkdir()
        directory.chmod(0o755)
        self.conf = directory / "server.conf"
        self.write_conf()
        self.install(pair)

    def script(self, name, body):
        path = self.dir / name
        path.write_text("#!/bin/sh\n" + body)
        path.chmod(0o755)
        return str(path)

    def write_conf(self, junk=""):
        self.conf.write_text(self.template.format(
            dir=self.dir, live=self.live, port=self.port,
            user=self.user if ROOT else "") + junk)

    def config(self, **over):
        made = {"reload_command": self.reload,
                "validate_command": self.validate,
                "post_deploy_verify": {
                    "enabled": True, "endpoint": f"127.0.0.1:{self.port}",
                    "timeout": "5s"}, **self.paths()}
        made.update(over)
        return {k: v for k, v in made.items() if v is not None}

    def served(self):
        return fingerprint_of(served_certificate("127.0.0.1", self.port))

    def serves(self, pair, timeout=10):
        wait_for(lambda: self.try_served() == pair.fingerprint, timeout,
                 what="the certificate served")

    def try_served(self):
        with contextlib.suppress(OSError):
            return self.served()

    def __enter__(self):
        subprocess.run(self.start, check=True, timeout=30)
        wait_for(self.try_served, what=f"{self.type} on {self.port}")
        return self

    def __exit__(self, *exc):
        pid = int((self.dir / "pid").read_text().split()[0])
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: self.try_served() is None, what="the server's end")

    def tree(self):
        """Everything below live: name to bytes and mode."""
        return {p.name: (p.read_bytes(), stat.S_IMODE(p.stat().st_mode))
                for p in self.live.iterdir()}


class ThreeFiles(Server):
    def install(self, pair):
        for path, source, mode in ((self.cert, pair.leaf, 0o644),
                                   (self.chain, pair.chain, 0o644),
                                   (self.key, pair.key, 0o600)):
            path.write_bytes(source.read_bytes())
            path.chmod(mode)

    cert = property(lambda self: self.live / "site.crt")
    chain = property(lambda self: self.live / "chain.crt")
    key = property(lambda self: self.live / "site.key")


class Nginx(ThreeFiles):
    type = "NGINX"
    user = "user root;"
    template = """{user}
pid {dir}/pid;
error_log {dir}/error.log warn;
worker_processes 1;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    fastcgi_temp_path {dir}/fastcgi;
    proxy_temp_path {dir}/proxy;
    scgi_temp_path {dir}/scgi;
    uwsgi_temp_path {dir}/uwsgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {live}/site.crt;
        ssl_certificate_key {live}/site.key;
    }}
}}
"""

    def paths(self):
        return {"cert_path": str(self.cert), "key_path": str(self.key)}

    def command(self, *more):
        return ["nginx", "-e", f"{self.dir}/error.log", "-c", str(self.conf),
                *more]

    start = property(lambda self: self.command())
    validate = property(lambda self: " ".join(self.command("-t")))
    reload = property(lambda self: " ".join(self.command("-s", "reload")))


class Apache(ThreeFiles):
    type = "Apache"
    user = "User www-data\nGroup www-data"
    template = """{user}
ServerRoot {dir}
ServerName localhost
PidFile {dir}/pid
DefaultRuntimeDir {dir}
ErrorLog {dir}/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
StartServers 1
MinSpareThreads 1
ThreadsPerChild 2
MaxRequestWorkers 4
SSLSessionCache none
Listen 127.0.0.1:{port}
SSLEngine on
SSLCertificateFile {live}/site.crt
SSLCertificateChainFile {live}/chain.crt
SSLCertificateKeyFile {live}/site.key
"""

    def paths(self):
        return {"cert_path": str(self.cert), "chain_path": str(self.chain),
                "key_path": str(self.key)}

    def command(self, *more):
        return ["apache2", "-f", str(self.conf), *more]

    start = property(lambda self: self.command("-k", "start"))
    validate = property(lambda self: " ".join(self.command("-t")))
    reload = property(lambda self: " ".join(self.command("-k", "graceful")))


class Haproxy(Server):
    type = "HAProxy"
    user = ""
    # A directory: HAProxy loads every file in it that has no dot before it.
    template = """{user}
global
    maxconn 20
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend site
    bind 127.0.0.1:{port} ssl crt {live}
    http-request return status 200
"""
    pem = property(lambda self: self.live / "site.pem")

    def install(self, pair):
        self.pem.write_bytes(pair.leaf.read_bytes() +
                             pair.chain.read_bytes() + pair.key.read_bytes())
        self.pem.chmod(0o600)

    def paths(self):
        return {"pem_path": str(self.pem)}

    @property
    def start(self):
        return ["haproxy", "-W", "-D", "-p", f"{self.dir}/pid", "-f",
                str(self.conf)]

    validate = property(lambda self: f"haproxy -c -f {self.conf}")

    @property
    def reload(self):
        return self.script("reload", f"{self.validate} && "
                           f"kill -USR2 $(cat {self.dir}/pid)\n")


SERVERS = [Nginx, Apache, Haproxy]


@pytest.fixture
def make(tmp_path, pairs):
    with contextlib.ExitStack() as stack:
        def start(kind):
            return stack.enter_context(
                kind(tmp_path / kind.type, pairs[0]))
        (tmp_path / "state").mkdir(mode=0o700)
        for d in (tmp_path, *tmp_path.parents[:2]):
            with contextlib.suppress(PermissionError):
                d.chmod(0o755)
        for kind in SERVERS:
            (tmp_path / kind.type).mkdir()
        yield start


@pytest.fixture
def run(deploy_once, tmp_path):
    """One deployment: (outcome, reason)."""
    state = tmp_path / "state"
    numbers = itertools.count()

    def argv(server, pair, config=None, key=None, chain=None):
        path = tmp_path / f"config-{next(numbers)}.json"
        path.write_text(json.dumps(config or server.config()))
        return [str(deploy_once), server.type, str(path), str(pair.leaf),
                str(chain or pair.chain), str(key or pair.key), str(state)]

    def once(*args, **kw):
        done = subprocess.run(argv(*args, **kw), capture_output=True,
                              text=True, timeout=120)
        outcome, _, reason = done.stdout.partition("\n")
        assert (done.returncode == 0) == (outcome in ("done", "unchanged")), \
            done.stdout + done.stderr
        return outcome, reason.strip()

    def recover():
        done = subprocess.run([str(deploy_once), "--recover", str(state)],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return [line.split()[0] for line in done.stdout.splitlines()]

    once.argv, once.recover, once.state = argv, recover, state
    return once


def marks(state):
    return list(state.glob("*.mark"))


# ---- The main way

@pytest.mark.parametrize("kind", SERVERS)
def test_the_new_certificate_is_served_with_its_chain(kind, make, run, pairs):
    server = make(kind)
    assert run(server, pairs[1]) == ("done", "")
    server.serves(pairs[1])

    def presented():
        shown = openssl("s_client", "-connect", f"127.0.0.1:{server.port}",
                        "-showcerts", stdin=b"").decode()
        return len(split_chain(shown))

    # For a moment NGINX's old workers may still take a connection.
    wait_for(lambda: presented() == 2, what="the chain")
    assert not marks(run.state)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_broken_server_configuration_leaves_the_old_pair_live(
        kind, make, run, pairs):
    server = make(kind)
    before = server.tree()
    server.write_conf(junk="\nno such directive\n")
    outcome, reason = run(server, pairs[1])
    assert outcome == "validate_failed" and "rolled back" in reason
    assert "exited with 1: " in reason
    assert server.tree() == before and server.served() == pairs[0].fingerprint
    assert not marks(run.state)
    server.write_conf()
    assert run(server, pairs[1])[0] == "done"
    server.serves(pairs[1])


@pytest.mark.parametrize("kind", SERVERS)
def test_a_failed_reload_puts_the_old_pair_back(kind, make, run, pairs):
    server = make(kind)
    before = server.tree()
    once = server.script("fail-once", f"""
        [ -e {server.dir}/failed ] && exec {server.reload}
        touch {server.dir}/failed; echo no reload today; exit 3""")
    outcome, reason = run(server, pairs[1], server.config(
        reload_command=once))
    assert outcome == "rolled_back"
    assert "reload failed; rolled back" in reason
    assert "exited with 3: no reload today" in reason
    assert server.tree() == before and not marks(run.state)
    server.serves(pairs[0])


def test_when_the_server_never_reloads_an_operator_is_called(
        make, run, pairs):
    server = make(Nginx)
    before = server.tree()
    outcome, reason = run(server, pairs[1], server.config(
        reload_command="false"))
    assert outcome == "rollback_failed"
    assert "manual intervention" in reason
    assert server.tree() == before
    # What the server runs on is not known: the next one must not skip it.
    assert marks(run.state)
    assert run(server, pairs[0])[0] == "done"
    assert not marks(run.state)


def test_what_is_served_decides(make, run, pairs, tmp_path):
    """A reload that says yes and does nothing is found out."""
    server = make(Nginx)
    before = server.tree()
    start = time.monotonic()
    outcome, reason = run(server, pairs[1], server.config(
        reload_command="true", post_deploy_verify_attempts=2))
    assert outcome == "rolled_back"
    assert pairs[0].fingerprint in reason and pairs[1].fingerprint in reason
    assert time.monotonic() - start < 10
    assert server.tree() == before


def test_a_leaf_without_its_chain_is_found_out(make, run, pairs):
    """cert_path holds the chain; a server that shows less serves a copy."""
    server = make(Nginx)
    copy = server.live / "copied.crt"
    copy.write_bytes(server.cert.read_bytes())
    conf = server.conf.read_text().replace("site.crt;", "copied.crt;")
    server.conf.write_text(conf)
    reload = server.script("reload", f"""
        openssl x509 -in {server.cert} -out {copy} && {server.reload}""")
    outcome, reason = run(server, pairs[1], server.config(
        reload_command=reload, validate_command="true",
        post_deploy_verify_attempts=1))
    assert outcome == "rolled_back" and "without its chain" in reason


@pytest.mark.parametrize("kind", SERVERS)
def test_the_same_again_is_unchanged_and_runs_nothing(kind, make, run, pairs):
    server = make(kind)
    assert run(server, pairs[1])[0] == "done"
    config = server.config(validate_command="false", reload_command="false")
    assert run(server, pairs[1], config) == ("unchanged", "")


def test_equal_files_that_are_not_served_are_deployed_again(
        make, run, pairs):
    server = make(Nginx)
    assert run(server, pairs[1], server.config(
        reload_command="true", post_deploy_verify=None))[0] == "done"
    assert server.served() == pairs[0].fingerprint
    assert run(server, pairs[1])[0] == "done"
    server.serves(pairs[1])


def test_a_first_deployment_creates_what_the_configuration_names(
        make, run, pairs):
    """Validation sees the new files, so their absence does not block it."""
    server = make(Nginx)
    for path in server.live.iterdir():
        path.unlink()
    assert run(server, pairs[1])[0] == "done"
    server.serves(pairs[1])
    assert stat.S_IMODE(server.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.cert.stat().st_mode) == 0o644


def test_a_first_deployment_that_fails_leaves_nothing(make, run, pairs):
    server = make(Nginx)
    for path in server.live.iterdir():
        path.unlink()
    assert run(server, pairs[1], server.config(
        validate_command="false"))[0] == "validate_failed"
    assert server.tree() == {}


# ---- Files

def test_nginx_files_by_configuration(make, run, pairs):
    server = make(Nginx)
    full = server.live / "full.crt"
    leaf = openssl("x509", "-in", str(pairs[1].leaf))
    chain = openssl("x509", "-in", str(pairs[1].chain))
    assert run(server, pairs[1])[0] == "done"
    assert server.cert.read_bytes() == leaf + chain
    assert run(server, pairs[1], server.config(
        chain_path=str(server.chain), fullchain_path=str(full)))[0] == "done"
    assert server.cert.read_bytes() == leaf
    assert server.chain.read_bytes() == chain
    assert full.read_bytes() == leaf + chain


def test_modes_are_kept_unless_asked_for(make, run, pairs):
    server = make(Nginx)
    server.key.chmod(0o640)
    server.cert.chmod(0o444)
    assert run(server, pairs[1])[0] == "done"
    assert stat.S_IMODE(server.key.stat().st_mode) == 0o640
    assert stat.S_IMODE(server.cert.stat().st_mode) == 0o444
    assert run(server, pairs[2], server.config(
        key_file_mode="0400", cert_file_mode=416))[0] == "done"
    assert stat.S_IMODE(server.key.stat().st_mode) == 0o400
    assert stat.S_IMODE(server.cert.stat().st_mode) == 0o640
    # The mode alone is a change too, and a rollback brings the old one back.
    assert run(server, pairs[2], server.config(
        key_file_mode="0440", reload_command="false"))[0] == "rollback_failed"
    assert stat.S_IMODE(server.key.stat().st_mode) == 0o400


@pytest.mark.skipif(not ROOT, reason="needs to give files away")
def test_owner_and_group_each_for_itself(make, run, pairs):
    server = make(Nginx)
    os.chown(server.key, 0, 33)
    assert run(server, pairs[1])[0] == "done"
    st = server.key.stat()
    assert (st.st_uid, st.st_gid) == (0, 33)
    assert run(server, pairs[2], server.config(
        key_file_owner="daemon", cert_file_group="www-data"))[0] == "done"
    st = server.key.stat()
    assert (st.st_uid, st.st_gid) == (1, 33)
    st = server.cert.stat()
    assert (st.st_uid, st.st_gid) == (0, 33)


@pytest.mark.parametrize("retention,certs,keys", [
    (None, 3, 0), (2, 2, 2), (-1, 0, 0)])
def test_copies_are_kept_by_retention_in_private(
        make, run, pairs, retention, certs, keys):
    server = make(Nginx)
    for i in range(6):
        assert run(server, pairs[i % 3 - 2], server.config(
            backup_retention=retention))[0] == "done"
    names = [p.name for p in run.state.iterdir()]
    assert len([n for n in names if "-site.crt." in n]) == certs
    assert len([n for n in names if "-site.key." in n]) == keys
    assert stat.S_IMODE(run.state.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600
               for p in run.state.iterdir())


def test_without_retention_a_rollback_still_has_its_copy(make, run, pairs):
    server = make(Nginx)
    before = server.tree()
    once = server.script("fail-once", f"""
        [ -e {server.dir}/failed ] && exec {server.reload}
        touch {server.dir}/failed; exit 1""")
    assert run(server, pairs[1], server.config(
        reload_command=once, backup_retention=-1))[0] == "rolled_back"
    assert server.tree() == before
    assert [p.name for p in run.state.iterdir() if p.suffix != ".lock"] == []


def test_haproxy_never_sees_a_file_of_ours(make, run, pairs):
    server = make(Haproxy)
    seen, stop = set(), threading.Event()

    def watch():
        while not stop.is_set():
            seen.update(n for n in os.listdir(server.live)
                        if not n.startswith("."))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for i in range(6):
            assert run(server, pairs[i % 3 - 2])[0] == "done"
        assert run(server, pairs[2], server.config(
            validate_command="false"))[0] == "validate_failed"
    finally:
        stop.set()
        watcher.join()
    assert seen == {"site.pem"}
    assert os.listdir(server.live) == ["site.pem"]
    subprocess.run(server.validate.split(), check=True)


# ---- What is refused

def refusals(server, pairs, ca):
    link = server.live / "link.crt"
    link.symlink_to(server.cert)
    other = ca / "pair1" / "leaf.pem"
    return [
        (dict(key=pairs[2].key), "does not belong"),
        (dict(chain=other), "chain"),
        (dict(config=server.config(cert_path=str(link))), "symbolic link"),
        (dict(config=server.config(cert_path="relative.crt")), "absolute"),
        (dict(config=server.config(cert_path=str(server.key))), "twice"),
        (dict(config=server.config(cert_path="/no/such/dir/a.crt")),
         "does not exist"),
        (dict(config=server.config(cert_file_owner="no-such-user")),
         "no-such-user"),
        (dict(config=server.config(combined_pem_path="/x")),
         'unknown member "combined_pem_path"'),
        (dict(config=server.config(reload_command="true; rm x")), "shell"),
        (dict(config=server.config(validate_command="a" * 1025)), "1024"),
        (dict(config=server.config(validate_command=None)), "required"),
        (dict(config=server.config(reload_command="/no/such/program x")),
         None),
    ]


def test_what_cannot_work_touches_nothing(make, run, pairs, ca):
    server = make(Nginx)
    for arguments, reason in refusals(server, pairs, ca):
        before = server.tree()
        outcome, said = run(server, pairs[1], **arguments)
        if reason is None:
            assert outcome == "rollback_failed" and "cannot run" in said
        else:
            assert outcome == "plan_invalid" and reason in said, said
        assert server.tree() == before
    assert server.served() == pairs[0].fingerprint


# ---- Crashes and company

def pair_is_whole(server, pairs):
    """The index of the pair whose files all stand there."""
    cert, key = server.cert.read_bytes(), server.key.read_bytes()
    for i, pair in enumerate(pairs):
        if fingerprint_of(cert.decode()) == pair.fingerprint:
            public = openssl("pkey", "-pubout", stdin=key)
            assert public == openssl("x509", "-noout", "-pubkey", stdin=cert)
            return i
    raise AssertionError("an unknown certificate")


PTRACE_TRACEME, PTRACE_SYSCALL = 0, 24


def kill_at_stop(argv, stop_at):
    """Run ARGV and kill it at the STOP_ATth entry or exit of a system call.

    The number of stops it made if it ended before, else None.
    """
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long] * 4
    pid = os.fork()
    if pid == 0:
        ptrace(PTRACE_TRACEME, 0, 0, 0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(argv[0], argv)
    stops, pass_on = 0, 0
    os.waitpid(pid, 0)
    while stops < stop_at:
        assert ptrace(PTRACE_SYSCALL, pid, 0, pass_on) == 0
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return stops
        pass_on = os.WSTOPSIG(status)
        if pass_on == signal.SIGTRAP:
            stops, pass_on = stops + 1, 0
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def decided_well(run, server, pair, config, repair_by_deploying):
    """Repair what a kill left; the decisions taken."""
    found = len(marks(run.state))
    if repair_by_deploying:
        assert run(server, pair, config)[0] in ("done", "unchanged")
        decided = []
    else:
        decided = run.recover()
        assert len(decided) == found
        assert set(decided) <= {"done", "rolled_back"}, decided
    assert not marks(run.state)
    if found:
        assert not [n for n in os.listdir(server.live) if n[0] == "."]
    return decided


def test_a_kill_at_any_system_call_is_repaired(make, run, pairs):
    """What a repair leaves is one whole pair, served, and nothing else."""
    server = make(Nginx)
    config = server.config()
    first = kill_at_stop([run.argv(server, pairs[1])[0]], 1 << 30)
    last = kill_at_stop(run.argv(server, pairs[1], config), 1 << 30)
    server.serves(pairs[1])
    decided = []
    for n in range(ROUNDS):
        stop = first + (last - first) * n // ROUNDS + random.randrange(8)
        # Always another pair than the one that is live.
        pair = pairs[(pair_is_whole(server, pairs) + 1) % 3]
        kill_at_stop(run.argv(server, pair, config), stop)
        decided += decided_well(run, server, pair, config, n % 4 == 3)
        server.serves(pairs[pair_is_whole(server, pairs)])
    print(f"killed at {ROUNDS} of {last - first} stops; recoveries: "
          f"{decided.count('done')} finished, "
          f"{decided.count('rolled_back')} put back")
    run.recover()
    # No copy of a private key outlives its deployment.
    names = os.listdir(run.state)
    assert not [n for n in names if "-site.key." in n or n[0] == "."]


def test_a_recovery_leaves_alone_what_somebody_else_changed(
        make, run, pairs):
    server = make(Nginx)
    assert run(server, pairs[1], server.config(
        reload_command="false"))[0] == "rollback_failed"
    server.install(pairs[2])
    changed = server.tree()
    assert run.recover() == ["rollback_failed"]
    assert server.tree() == changed


def test_two_at_once_take_turns(make, run, pairs):
    server = make(Nginx)
    for _ in range(5):
        running = []
        for pair in pairs[1:]:
            argv = run.argv(server, pair)
            running.append(subprocess.Popen(argv, stdout=subprocess.PIPE,
                                            text=True))
        said = [p.communicate(timeout=60)[0] for p in running]
        assert all(s in ("done\n", "unchanged\n") for s in said), said
        server.serves(pairs[pair_is_whole(server, pairs)])
    assert not marks(run.state)
