"""Any process may die at any moment, and nothing is lost or done twice."""

import contextlib
import threading
import time

import pytest

from lib import make_csr, ok, query, refused, unique, wait_for


def answers(client, path="/auth/check"):
    """The status of a call, or 0 if there was none."""
    with contextlib.suppress(OSError):
        return client.get(path).status
    return 0


@pytest.fixture(autouse=True)
def everything_is_up(stack):
    yield
    stack.start("postgres", "api", "workers", "web")
    stack.wait_ready()


# ---- Responders ------------------------------------------------------

def test_a_killed_responder_costs_at_most_its_request(stack, api):
    for _ in range(5):
        stack.kill("api", "certctl-api", first=1)
        assert answers(api) == 200
    wait_for(lambda: len(stack.processes("api", "certctl-api")) == 3,
             what="new responders")


def test_all_responders_killed_at_once_is_a_pause(stack, api):
    assert len(stack.kill("api", "certctl-api")) >= 2
    wait_for(lambda: answers(api) == 200, 5, what="an answer")


@contextlib.contextmanager
def asked_all_the_time(api, path, clients):
    """What CLIENTS callers at once are answered meanwhile."""
    seen, stop = [], threading.Event()

    def ask():
        client = api.with_key(api.key)
        while not stop.is_set():
            seen.append(answers(client, path))

    threads = [threading.Thread(target=ask, daemon=True)
               for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_killed_under_load_every_answer_is_whole(stack, api):
    with asked_all_the_time(api, "/teams?per_page=5", 4) as seen:
        for _ in range(10):
            stack.kill("api", "certctl-api", first=1)
            time.sleep(0.1)
    bad = [s for s in seen if s != 200]
    assert set(bad) <= {502, 503}, set(bad)
    assert len(bad) <= 20 and len(seen) > 100


def test_a_write_that_was_answered_survives_everything(stack, api):
    made = ok(api.post("/teams", {"name": unique("team")}), 201)
    stack.kill("postgres", "postgres")
    stack.start("postgres")
    stack.wait_ready()
    assert ok(api.get("/teams/" + made["id"])) == made


def test_a_clean_stop_finishes_requests_in_flight(stack, api):
    """Restarted under load, a caller sees a pause but no broken answer."""
    with asked_all_the_time(api, "/auth/check", 1) as seen:
        stack.restart("api")
    assert set(seen) <= {200, 502, 503}, set(seen)


# ---- The database ----------------------------------------------------

def test_without_the_database_calls_are_503_and_health_is_not(stack, api,
                                                              anon):
    stack.stop("postgres")
    refused(api.get("/teams"), 503)
    refused(api.post("/teams", {"name": unique("team")}), 503)
    reply = anon.call("GET", "/ready")
    assert reply.status == 503
    assert reply.json["status"] == "db_unavailable" and reply.json["error"]
    assert anon.call("GET", "/health").status == 200
    stack.start("postgres")
    # Every responder finds it again, not just one.
    wait_for(lambda: [answers(api, "/teams") for _ in range(12)]
             == [200] * 12, 5, what="the database again")


def test_a_killed_backend_is_at_most_one_503(stack, api, db):
    db("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
       "WHERE datname = 'certctl' AND pid <> pg_backend_pid()")
    seen = [answers(api, "/teams") for _ in range(12)]
    assert set(seen) <= {200, 503}
    assert seen[-3:] == [200] * 3


def test_a_newer_schema_stops_the_responders(stack, api, anon, db):
    table = db("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname "
               "LIKE '%migration%'")[0][0]
    columns = {c for c, in db(
        "SELECT attname FROM pg_attribute WHERE attrelid = "
        f"'{table}'::regclass AND attnum > 0")}
    names = ", ".join(c for c in ("version", "name") if c in columns)
    values = "9999" + (", 'from the future'" if "name" in columns else "")
    db(f"INSERT INTO {table} ({names}) VALUES ({values})")
    try:
        # A running responder notices at the latest with a new connection.
        db("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
           "WHERE usename = 'certctl_api'")
        wait_for(lambda: anon.call("GET", "/ready").status == 503, 10,
                 what="/ready to refuse")
        wait_for(lambda: [answers(api, "/teams") for _ in range(6)]
                 == [503] * 6, 10, what="responders to refuse work")
        assert anon.call("GET", "/health").status == 200
    finally:
        db(f"DELETE FROM {table} WHERE version = 9999")
    wait_for(lambda: [answers(api, "/teams") for _ in range(6)]
             == [200] * 6, 20, every=0.5, what="responders to serve again")


# ---- Workers ---------------------------------------------------------

def submit_many(world, n):
    agent = world.agent()
    target = world.target(agent)["id"]
    certificates = [world.certificate(target_ids=[target]) for _ in range(n)]
    for c in certificates:
        world.renew(c)
        ok(agent.submit(make_csr(c["common_name"], c["sans"])[1], c["id"]),
           202)
    return agent, certificates


def test_workers_killed_while_they_issue_lose_and_double_nothing(world, stack,
                                                                 db):
    stack.stop("workers")
    agent, certificates = submit_many(world, 30)
    ids = ",".join(f"'{c['id']}'" for c in certificates)
    stack.start("workers")
    for _ in range(6):
        stack.kill("workers", "certctl-workers")
        time.sleep(0.15)
    # A dead worker's lease runs out; here it need not be waited for.
    db("UPDATE jobs SET leased_until = now() WHERE status = 'Running' AND "
       f"certificate_id IN ({ids}) AND type <> 'Deployment'")
    wait_for(lambda: db(
        f"SELECT count(*) FROM managed_certificates WHERE id IN ({ids}) AND "
        "status = 'Active'") == [[str(len(certificates))]], 60, every=0.3,
        what="everything issued")
    assert db("SELECT count(*) FROM issuance_intents WHERE resolved_at IS "
              f"NULL AND certificate_id IN ({ids})") == [["0"]]
    # What was signed is known: as many versions as resolved intents.
    assert db("SELECT (SELECT count(*) FROM certificate_versions WHERE "
              f"certificate_id IN ({ids})) = (SELECT count(*) FROM "
              f"issuance_intents WHERE certificate_id IN ({ids}))") == [["t"]]
    assert db("SELECT count(*) FROM certificate_versions WHERE "
              f"certificate_id IN ({ids})") == [[str(len(certificates))]]


def test_a_running_job_of_a_dead_worker_is_taken_over(world, stack, db):
    stack.stop("workers")
    agent, (certificate,) = submit_many(world, 1)
    db("UPDATE jobs SET status = 'Running', worker = 'dead-1', attempts = 1, "
       "status_at = now(), started_at = now(), leased_until = now() + "
       "interval '2 seconds' WHERE type = 'Issuance' AND certificate_id = "
       f"'{certificate['id']}'")
    stack.start("workers")
    time.sleep(1)
    assert world.versions(certificate) == [], "a live lease was ignored"
    wait_for(lambda: world.versions(certificate), 20, what="the takeover")
    job, = world.jobs_of(certificate, type="Issuance")
    assert (job["status"], job["attempts"]) == ("Completed", 2)


def test_an_agents_lost_deployment_is_offered_again(world, db):
    agent, _, certificate = world.site()
    world.issue(agent, certificate)
    first = agent.deployment(certificate["id"])["id"]
    assert agent.deployment(certificate["id"]) is None
    db(f"UPDATE jobs SET leased_until = now() WHERE id = '{first}'")
    assert agent.deployment(certificate["id"])["id"] == first
    ok(agent.report(first, "Completed"))


def test_the_api_needs_no_worker(world, stack):
    stack.stop("workers")
    agent, (certificate,) = submit_many(world, 1)
    job, = world.jobs_of(certificate)
    assert job["status"] == "Pending"
    stack.start("workers")
    wait_for(lambda: world.versions(certificate), what="issuance")


def test_a_stopped_worker_leaves_nothing_half_done(world, stack, db):
    agent, certificates = submit_many(world, 10)
    ids = ",".join(f"'{c['id']}'" for c in certificates)
    stack.stop("workers")
    assert db("SELECT count(*) FROM jobs WHERE leased_until > now() AND "
              f"type <> 'Deployment' AND certificate_id IN ({ids})") \
        == [["0"]]
    assert db("SELECT count(*) FROM issuance_intents WHERE resolved_at IS "
              f"NULL AND certificate_id IN ({ids})") == [["0"]]
    stack.start("workers")
    wait_for(lambda: db("SELECT count(*), max(attempts) FROM jobs WHERE "
                        "status = 'Completed' AND type = 'Issuance' AND "
                        f"certificate_id IN ({ids})") == [["10", "1"]],
             what="the rest, without a spent attempt")


# ---- The web server --------------------------------------------------

def test_the_web_server_alone_answers_503_in_json(stack, anon):
    stack.stop("api")
    reply = anon.get("/teams")
    assert reply.status in (502, 503)
    assert reply.json["error"] == "Service Unavailable"
    assert reply.headers["retry-after"] == "1"
    stack.start("api")
    wait_for(lambda: anon.get("/auth/info").status == 200, 5)


def test_lists_survive_a_restart_in_the_middle_of_a_walk(stack, api, world):
    team = world.team()["id"]
    made = {world.certificate(team_id=team)["id"] for _ in range(6)}
    page = ok(api.get("/certificates" + query(
        cursor="", page_size=3, team_id=team)))
    stack.restart("api")
    rest = ok(api.get("/certificates" + query(
        cursor=page["next_cursor"], page_size=3, team_id=team)))
    assert {r["id"] for r in page["data"] + rest["data"]} == made
