"""What must be true after the chaos.

Each check is given the run and yields what is wrong, in words; its name is the
claim.
"""

import collections
import contextlib
import time

from lib import fingerprint_of, ok, public_key_of, serial_of, split_chain

OPEN = "('Pending', 'AwaitingCSR', 'AwaitingApproval', 'Running')"
LONGEST_PAUSE = 10              # seconds; a database recovers in that time


def every_job_has_an_end(c):
    for row in c.stack.rows(
            "SELECT id, type, status, attempts, max_attempts, last_error "
            "FROM jobs WHERE status NOT IN ('Completed', 'Cancelled') "
            "AND NOT (status = 'Failed' AND last_error <> '')"):
        yield " ".join(row)


def no_certificate_is_left_between_states(c):
    for row in c.stack.rows(
            "SELECT id, status FROM managed_certificates "
            "WHERE status <> 'Active'"):
        yield " ".join(row)


def every_promised_job_exists(c):
    stored = {i for i, in c.stack.rows("SELECT id FROM jobs")}
    yield from set(c.load.promised) - stored


def every_signature_is_in_the_inventory(c):
    signed = set(c.stack.signed())
    known = {s for s, in c.stack.rows(
        "SELECT serial_number FROM certificate_versions")}
    for pem, in c.stack.rows("SELECT replace(ca_cert_pem, E'\\n', '|') "
                             "FROM issuers WHERE ca_cert_pem IS NOT NULL"):
        known.add(serial_of(pem.replace("|", "\n")))
    if len(signed) < len(c.inventory.at):
        yield f"only {len(signed)} signatures are in the record"
    yield from ({s.lstrip("0") for s in signed}
                - {s.lstrip("0") for s in known})


def every_intent_is_resolved(c):
    for row in c.stack.rows(
            "SELECT serial_number, job_id FROM issuance_intents n "
            "WHERE resolved_at IS NULL OR NOT EXISTS (SELECT FROM "
            "certificate_versions v WHERE v.issuer_id = n.issuer_id "
            "AND v.serial_number = n.serial_number)"):
        yield " ".join(row)


def no_job_is_issued_twice(c):
    for row in c.stack.rows(
            "SELECT job_id, csr_pem <> '', count(*) FROM "
            "certificate_versions GROUP BY job_id, csr_pem "
            "HAVING count(*) > 1"):
        yield " ".join(row)
    done = collections.Counter(
        line["job_id"] for line in c.stack.log_lines("workers")
        if line.get("msg") == "certificate issued")
    yield from (f"{j} completed {n} times" for j, n in done.items() if n > 1)


def no_work_is_open_twice(c):
    for row in c.stack.rows(
            "SELECT certificate_id, type, target_id, agent_id, count(*) "
            f"FROM jobs WHERE status IN {OPEN} "
            "GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"):
        yield " ".join(row)


def every_version_is_in_the_audit_log(c):
    yield from (s for s, in c.stack.rows(
        "SELECT serial_number FROM certificate_versions v "
        "WHERE (SELECT count(*) FROM audit_events a WHERE "
        "a.resource_id = v.certificate_id AND a.action IN "
        "('renewal_job_completed', 'certificate_stored') AND "
        "a.details ->> 'serial' = v.serial_number) <> 1"))


def every_renewal_is_in_the_audit_log(c):
    calls = int(c.stack.rows(
        "SELECT count(*) FROM audit_events WHERE action = 'api_post' "
        "AND resource_id LIKE '%/renew' "
        "AND details ->> 'status' = '202'")[0][0])
    if calls < c.load.renewals:
        yield f"{c.load.renewals} renewals answered, {calls} recorded"


def serves(site, version):
    with contextlib.suppress(OSError):
        return fingerprint_of(site.served()) == version["fingerprint_sha256"]


def gave_up(c, site, version):
    """Was the deployment of VERSION to SITE tried in vain?"""
    return c.stack.rows(
        f"SELECT 1 FROM jobs WHERE version_id = '{version['id']}' "
        f"AND target_id = '{site.target}' AND type = 'Deployment' "
        "AND status = 'Failed'") != []


def every_site_serves_the_newest_version(c):
    """Or the job that was to bring it there has failed, with its reason."""
    for certificate, sites in c.inventory.at.items():
        newest = c.inventory.newest(certificate)
        for site in sites:
            if not serves(site, newest) and not gave_up(c, site, newest):
                yield f"{site.name}: not {newest['serial_number']}"


def every_mapping_names_what_is_served(c):
    for certificate, sites in c.inventory.at.items():
        for site in sites:
            rows = c.stack.rows(
                "SELECT v.fingerprint_sha256 FROM "
                "certificate_target_mappings m JOIN certificate_versions v "
                f"ON v.id = m.version_id WHERE m.target_id = '{site.target}'")
            if not rows or rows[0][0] != fingerprint_of(site.served()):
                yield site.name


def the_files_of_a_site_belong_together(c):
    for site in c.inventory.sites:
        crt, key = site.crt.read_text(), site.key.read_text()
        if public_key_of(crt, "x509") != public_key_of(key, "pkey"):
            yield f"{site.name}: key and certificate are no pair"
        if fingerprint_of(crt) != fingerprint_of(site.served()):
            yield f"{site.name}: the file is not what is served"
        if len(split_chain(crt)) < 2 or not crt.endswith("-----\n"):
            yield f"{site.name}: the chain is not whole"


def no_file_is_left_over(c):
    wanted = {"nginx.conf", "site.crt", "site.key"} | {
        p.name for s in c.inventory.sites for p in (s.crt, s.key)}
    yield from (f"site/{p.name}" for p in (c.stack.dir / "site").iterdir()
                if p.name not in wanted)
    for path in (c.stack.dir / "agent").rglob("*"):
        name = path.name
        if path.is_file() and (
                name.startswith(".") or "tmp" in name
                or name.endswith((".mark", ".undo", ".previous"))
                or path.parent.name == "jobs"):
            yield str(path.relative_to(c.stack.dir))


def every_key_is_that_of_the_newest_version(c):
    for certificate in c.inventory.at:
        path = c.stack.dir / f"agent/keys/{certificate}.key"
        newest = c.inventory.newest(certificate)["pem_chain"]
        if not path.exists():
            yield f"{certificate} has no key"
        elif public_key_of(path.read_text(), "pkey") != public_key_of(
                newest, "x509"):
            yield f"{certificate}: another key"


def no_caller_saw_more_than_a_pause(c):
    for answer, n in c.load.answers.items():
        if answer not in (200, 202, 409, 503):
            yield f"{answer} x{n}"
    if c.load.pause > LONGEST_PAUSE:
        yield f"nothing was answered for {c.load.pause:.1f} s"


def the_main_job_still_works(c):
    """In peace, every certificate is renewed and served within a minute."""
    before = {i: c.inventory.newest(i)["id"] for i in c.inventory.at}
    for certificate in before:
        ok(c.stack.api.post(f"/certificates/{certificate}/renew",
                            {"force": True}), 202)
    deadline = time.monotonic() + 60
    for certificate, sites in c.inventory.at.items():
        newest = c.inventory.newest(certificate)
        while newest["id"] == before[certificate] or not all(
                serves(s, newest) for s in sites):
            if time.monotonic() > deadline:
                yield certificate
                break
            time.sleep(0.2)
            newest = c.inventory.newest(certificate)


CHECKS = [
    every_job_has_an_end,
    no_certificate_is_left_between_states,
    every_promised_job_exists,
    every_signature_is_in_the_inventory,
    every_intent_is_resolved,
    no_job_is_issued_twice,
    no_work_is_open_twice,
    every_version_is_in_the_audit_log,
    every_renewal_is_in_the_audit_log,
    every_site_serves_the_newest_version,
    every_mapping_names_what_is_served,
    the_files_of_a_site_belong_together,
    no_file_is_left_over,
    every_key_is_that_of_the_newest_version,
    no_caller_saw_more_than_a_pause,
    the_main_job_still_works,
]
