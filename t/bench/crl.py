"""The CRLs of t/bench/run: how long large ones take, and who waits for them.

A list is timed from the moment a worker takes it on until its file is there:
query, encode, sign, store, write.  While the longest is made again and again
certificates are revoked over the API, and OCSP is asked about each at once.
"""

import http.client
import pathlib
import re
import statistics
import threading
import time
import urllib.parse

from lib import wait_for

SIZES = {100_000: 1.0, 1_000_000: 15.0}     # entries: seconds
ROUNDS = 3
CLIENTS, BUSY_SECONDS = 2, 6
P99_MS = 100        # of a revocation, and of an OCSP answer
REVOKED = 0xA1      # CertStatus, behind the serial number

# Certificates to revoke.
SEED = """
INSERT INTO managed_certificates (id, name, common_name, sans, environment,
	owner_id, team_id, issuer_id, renewal_policy_id, status, issued_at,
	expires_at, tags)
SELECT 'cert-crl-' || n, 'crl ' || n, 'crl' || n || '.example.org', '{}',
	'bench', 'o-bench', 't-bench', 'iss-local', 'rp-bench', 'Active',
	now(), now() + interval '1 year', '{}'
FROM generate_series(1, 20000) n;
INSERT INTO certificate_versions (id, certificate_id, issuer_id, ca_key_id,
	serial_number, not_before, not_after, fingerprint_sha256, spki_sha256,
	pem_chain, key_algorithm, key_size)
SELECT 'ver-crl-' || n, 'cert-crl-' || n, 'iss-local', k.id,
	'20' || lpad(to_hex(n), 38, '0'), now(), now() + interval '1 year',
	'crl-' || n, '', '', 'ECDSA', 256
FROM generate_series(1, 20000) n, ca_keys k;
"""
# Entries with serial numbers as random as real ones.  That what they refer to
# is there need not be checked for each.
ENTRIES = """
SET session_replication_role = replica;
INSERT INTO certificate_revocations (id, certificate_id, issuer_id, ca_key_id,
	serial_number, reason, revoked_by, revoked_at, not_after,
	issuer_notified)
SELECT 'rev-crl-' || n, 'cert-bench-ocsp', 'iss-local', k.id,
	'30' || substr(encode(sha256(n::text::bytea), 'hex'), 1, 38),
	'superseded', 'bench', now() - make_interval(secs => n % 2000000),
	now() + interval '1 year', true
FROM generate_series({first}, {last}) n, ca_keys k;
RESET session_replication_role;
VACUUM ANALYZE certificate_revocations;
CHECKPOINT
"""


class Lists:
    def __init__(self, stack):
        self.stack = stack
        self.file = stack.dir / "crl/iss-local.crl"

    def sql(self, text):
        """Statement by statement: not all may be in one transaction."""
        return self.stack.psql(*[a for one in text.split(";\n")
                                 for a in ("-c", one)]).strip()

    def fill(self, entries):
        """So that the next list has so many."""
        have = int(self.sql("SELECT count(*) FROM certificate_revocations"))
        self.sql(ENTRIES.format(first=have + 1, last=entries))

    def make(self):
        """Seconds from claim to file of a list that is wanted now."""
        number = int(self.sql("SELECT max(crl_number) FROM ca_keys"))
        self.sql("UPDATE ca_keys SET crl_wanted_at = now()")
        began, ok, error = wait_for(lambda: self.sql(
            "SELECT extract(epoch FROM started_at), succeeded, error "
            "FROM crl_generation_events "
            f"WHERE crl_number > {number} ORDER BY seq LIMIT 1"), 120,
            every=0.05, what="the list").split("|")
        if ok != "t":
            raise SystemExit(f"t/bench/run: no CRL: {error}")

        def written():
            at = self.file.stat().st_ctime
            return at if at > float(began) else None
        return wait_for(written, 60, every=0.02, what="the file") - \
            float(began)


class Client(threading.Thread):
    """Revokes one certificate after the other, and asks about each."""

    def __init__(self, stack, numbers, until):
        super().__init__()
        self.api, self.numbers, self.until = stack.client(stack.key), \
            numbers, until
        self.pki = urllib.parse.urlsplit(stack.env["CERTCTL_DEMO_PKI"])
        self.ocsp = http.client.HTTPConnection(self.pki.netloc, timeout=30)
        self.request = stack.parts[0]
        self.ms = {"revoke": [], "OCSP": []}
        self.wrong = 0

    def timed(self, what, call):
        began = time.monotonic()
        answer = call()
        self.ms[what].append((time.monotonic() - began) * 1e3)
        return answer

    def ask(self, serial):
        self.ocsp.request(
            "POST", self.pki.path + "/ocsp/iss-local",
            bytes.fromhex(self.request + serial),
            {"Content-Type": "application/ocsp-request"})
        der = self.ocsp.getresponse().read()
        at = der.find(bytes.fromhex(serial))
        return at > 0 and der[at + 20] == REVOKED

    def run(self):
        while not self.until.is_set():
            n = next(self.numbers)
            done = self.timed("revoke", lambda: self.api.post(
                f"/certificates/cert-crl-{n}/revoke",
                {"reason": "superseded"}))
            known = self.timed("OCSP", lambda: self.ask(
                f"20{n:038x}"))
            self.wrong += done.status != 200 or not known
            time.sleep(0.01)


def meanwhile(stack, numbers, work):
    """Milliseconds of all calls while WORK is done, and the wrong ones."""
    until = threading.Event()
    clients = [Client(stack, numbers, until) for _ in range(CLIENTS)]
    for c in clients:
        c.start()
    try:
        work()
    finally:
        until.set()
        for c in clients:
            c.join()
    return {what: sorted(ms for c in clients for ms in c.ms[what])
            for what in ("revoke", "OCSP")}, sum(c.wrong for c in clients)


def p99(ms):
    return ms[len(ms) * 99 // 100]


def told(ms):
    return f"p50 {statistics.median(ms):.1f}, p99 {p99(ms):.1f}, " \
        f"longest {ms[-1]:.0f} ms"


def resident(stack, which):
    """MB of the largest of the workers' processes."""
    return max(int(re.search(rf"{which}:\s+(\d+)", pathlib.Path(
        f"/proc/{pid}/status").read_text())[1])
        for pid in stack.pids("workers")) / 1024


def measure(stack, verdict, quick):
    lists = Lists(stack)
    sizes = list(SIZES)[:1 if quick else None]
    seconds = 0
    lists.sql(SEED)
    for entries in sizes:
        lists.fill(entries)
        seconds = statistics.median(lists.make() for _ in range(ROUNDS))
        peak = resident(stack, "VmHWM")
        print(f"CRL: {entries} entries, "
              f"{lists.file.stat().st_size / 1e6:.1f} MB: {seconds:.2f} s, "
              f"{peak:.0f} MB of memory; limit {SIZES[entries]:.0f} s  "
              + verdict(seconds < SIZES[entries], f"CRL of {entries}"),
              flush=True)
    if not quick:
        with stack.settings("workers", CERTCTL_CRL_SHARD_ENTRIES="1000"):
            seconds_cut = statistics.median(lists.make()
                                            for _ in range(ROUNDS))
        print(f"  and in shards too: {seconds_cut:.2f} s until the whole one "
              "is there", flush=True)
    time.sleep(3)
    print(f"  memory of the largest worker afterwards "
          f"{resident(stack, 'VmRSS'):.0f} MB")
    compare(stack, lists, sizes[-1], seconds, verdict)


def compare(stack, lists, entries, seconds, verdict):
    numbers = iter(range(1, 20001))

    def make_some():
        end = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < end:
            lists.make()

    # Responders connect to the database when first asked.
    meanwhile(stack, numbers, lambda: time.sleep(2))
    quiet, _ = meanwhile(stack, numbers, lambda: time.sleep(BUSY_SECONDS))
    busy, wrong = meanwhile(stack, numbers, make_some)
    for what in quiet:
        ok = p99(busy[what]) < P99_MS and busy[what][-1] < seconds * 1e3
        print(f"{what} while those of {entries} entries are made: "
              f"{len(busy[what])}, {told(busy[what])}; else "
              f"{told(quiet[what])}; limit p99 {P99_MS} ms, none as long as "
              "the list takes  " + verdict(ok, f"{what} beside CRL"),
              flush=True)
    print(f"  {wrong} revocations refused or unknown to OCSP  "
          + verdict(wrong == 0, "OCSP after revoke"), flush=True)
