"""The private certctl the system tests run against, by way of t/stack."""

import contextlib
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import tempfile
import time

from lib import Client, wait_for

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "stack"

# So that nothing is limited, and what is due is found at once.
SETTINGS = {
    "CERTCTL_RATE_LIMIT_RPS": "100000",
    "CERTCTL_RATE_LIMIT_BURST": "100000",
    "CERTCTL_OCSP_RATE_LIMIT_PER_IP_MIN": "0",
    "CERTCTL_SCHEDULER_RETRY_INTERVAL": "1s",
    "CERTCTL_JOB_TIMEOUT_INTERVAL": "1s",
    "CERTCTL_SCHEDULER_AGENT_HEALTH_CHECK_INTERVAL": "1s",
    "CERTCTL_SHORT_LIVED_EXPIRY_CHECK_INTERVAL": "1s",
}


def assignments(text):
    """What t/stack wrote for a shell to source."""
    lines = [line.removeprefix("export ").partition("=")
             for line in text.splitlines()]
    return {name: value.strip("'") for name, eq, value in lines if eq}


def free_ports(n):
    with contextlib.ExitStack() as held:
        socks = [held.enter_context(socket.socket()) for _ in range(n)]
        for s in socks:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in socks]


class Stack:
    def __init__(self, web, build, directory=None):
        self.web, self.build = web, build
        self.kept = directory is not None
        self.dir = pathlib.Path(directory or tempfile.mkdtemp(
            prefix="certctl-test-"))
        self.dir.mkdir(exist_ok=True)
        self.dir.chmod(0o755)

    def run(self, command, *args, timeout=180):
        done = subprocess.run([SCRIPT, command, self.dir, *args],
                              capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, \
            f"t/stack {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def up(self):
        if (self.dir / "etc/extra.env").exists():
            self.run("down")    # or what was built since would not be run
            self.keys = assignments(
                (self.dir / "etc/extra.env").read_text())[
                    "CERTCTL_API_KEYS_NAMED"]
            ports = []
        else:
            self.keys = f"root:{secrets.token_hex(16)}:admin," \
                f"operator:{secrets.token_hex(16)}"
            port, http, est, site = free_ports(4)
            ports = ["--port", str(port), "--http-port", str(http),
                     "--est-port", str(est), "--site-port", str(site)]
        sets = dict(SETTINGS, CERTCTL_API_KEYS_NAMED=self.keys)
        self.run("up", "--web", self.web, *ports, "--api", "3",
                 "--workers", "2", "--build", self.build, "--agent", "--site",
                 *[a for name, value in sets.items()
                   for a in ("--set", f"{name}={value}")])
        self.env = assignments(self.run("env"))
        self.admin_key, self.operator_key = [
            k.split(":")[1] for k in self.keys.split(",")]
        self.url = self.env["CERTCTL_SERVER_URL"]
        self.site = self.env["CERTCTL_DEMO_SITE"]
        self.pki = self.env["CERTCTL_DEMO_PKI"]
        self.est = self.env["CERTCTL_EST_URL"]
        self.ca = self.env["CERTCTL_SERVER_CA_BUNDLE_PATH"]
        self.bootstrap_token = self.env["CERTCTL_AGENT_BOOTSTRAP_TOKEN"]

    def down(self):
        if not self.kept:
            self.run("clean")

    def client(self, key=None):
        return Client(self.url, self.ca, key)

    def sql(self, text, role="postgres"):
        """Rows of text columns; NULL reads as the empty string."""
        env = dict(os.environ, PGHOST=self.env["PGHOST"], PGDATABASE="certctl")
        done = subprocess.run(
            ["psql", "-X", "-q", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1",
             "-U", "postgres"], input=f"SET ROLE {role};\n{text};\n",
            env=env, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise SqlError(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    # ---- Processes ------------------------------------------------------

    def pids(self, component):
        return [int(p) for p in self.run("pids", component).split()]

    def processes(self, component, program):
        """Those processes of a component that run PROGRAM."""
        found = []
        for pid in self.pids(component):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/comm") as comm:
                    if comm.read().strip() == program:
                        found.append(pid)
        return found

    def kill(self, component, program, first=None):
        """Kill those processes, or the FIRST of them, and see them end."""
        killed = self.processes(component, program)[:first]
        for pid in killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(os.path.exists(f"/proc/{p}")
                                 for p in killed), what="their end")
        return killed

    def start(self, *components):
        self.run("start", *components)

    def stop(self, *components):
        self.run("stop", *components)

    def restart(self, *components):
        self.run("restart", *components)
        self.wait_ready()

    def ready(self):
        with contextlib.suppress(OSError):
            return self.client().call("GET", "/ready").status == 200

    def wait_ready(self, timeout=30):
        wait_for(self.ready, timeout, every=0.1, what="/ready")

    # ---- Settings -------------------------------------------------------

    @contextlib.contextmanager
    def settings(self, *components, **values):
        """With other settings for a while; the API alone by default."""
        path = self.dir / "etc/extra.env"
        before = path.read_text()
        components = components or ("api",)
        try:
            with path.open("a") as f:
                f.writelines(f"{n}='{v}'\n" for n, v in values.items())
            self.run("restart", *components)
            # Every child is asked: one that counts calls must not be spent.
            time.sleep(0.3)
            yield
        finally:
            path.write_text(before)
            self.restart(*components)

    def log(self, component):
        return (self.dir / f"log/{component}.log").read_text(
            errors="replace")


class SqlError(Exception):
    pass
