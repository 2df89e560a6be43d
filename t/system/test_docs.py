"""What the documentation says is true: its commands work, its links lead
somewhere, its names exist, and nothing the API can do is left out.

A fenced block is tried here if its info string says so:

    ```sh tested           run; the blocks of a page are one script
    ```json target TYPE    the configuration of a target, which the API takes
"""

import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from lib import ok, unique
from stack import free_ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.M | re.S)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# The demo's own, which no program of certctl's reads.
DEMO = {"CERTCTL_DEMO_SITE", "CERTCTL_DEMO_DIR", "CERTCTL_DEMO_PORT",
        "CERTCTL_DEMO_SITE_PORT", "CERTCTL_DEMO_HTTP_PORT",
        "CERTCTL_DEMO_EST_PORT", "CERTCTL_DEMO_PKI",
        "CERTCTL_EST_URL", "CERTCTL_EST_USER", "CERTCTL_EST_PASSWORD",
        "CERTCTL_ANY_SYSTEM", "CERTCTL_CONFIG_FILE"}
TESTING = {"CERTCTL_BUILD_DIR", "CERTCTL_TEST_WEB", "CERTCTL_TEST_DIR"}


def blocks(name, info):
    """(line, text) of the blocks of a page whose info string begins so."""
    text = (ROOT / name).read_text()
    return [(text.count("\n", 0, m.start()) + 1, m[1], m[2])
            for m in FENCE.finditer(text)
            if (m[1] + " ").startswith(info + " ")]


def prose(name):
    return FENCE.sub("", (ROOT / name).read_text())


# ---- Commands --------------------------------------------------------

@pytest.fixture
def checkout(stack, tmp_path):
    """A directory in which var/ is the stack, as the demo leaves it."""
    var = tmp_path / "var"
    var.mkdir()
    for part in ("bin", "ca", "etc", "log", "signer", "site"):
        (var / part).symlink_to(stack.dir / part)
    (var / "demo.env").write_text("".join(
        f"export {name}='{value}'\n" for name, value in {
            "CERTCTL_SERVER_URL": stack.url,
            "CERTCTL_API_KEY": stack.admin_key,
            "CERTCTL_SERVER_CA_BUNDLE_PATH": stack.ca,
            "CERTCTL_DEMO_SITE": stack.site,
            **{name: stack.env[name] for name in (
                "CERTCTL_DEMO_PKI", "CERTCTL_EST_URL", "CERTCTL_EST_USER",
                "CERTCTL_EST_PASSWORD")}}.items()))
    yield tmp_path
    for pidfile in var.glob("*/nginx.pid"):
        pid = pidfile.read_text().strip()
        command = pathlib.Path("/proc", pid, "cmdline")
        if command.exists() and str(tmp_path) in command.read_text():
            os.kill(int(pid), signal.SIGTERM)


@pytest.mark.parametrize("name", [n for n in NAMES if blocks(n, "sh tested")])
def test_the_commands_of_a_page_work(name, checkout):
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>&- || :' EXIT\n"
    script += "".join(f"echo '--- line {line}'\n{text}"
                      for line, _, text in blocks(name, "sh tested"))
    # What the examples make is theirs alone, also on a stack that is kept.
    port, = free_ports(1)
    script = re.sub(r"\bfirst\b", unique("first"), script)
    script = script.replace("9444", str(port))
    env = {k: v for k, v in os.environ.items()
           if not k.startswith("CERTCTL_")}
    log = checkout / "output"
    with log.open("w") as output:
        done = subprocess.run(["timeout", "100", "bash", "-c", script],
                              cwd=checkout, env=env, stdout=output,
                              stdin=subprocess.DEVNULL,
                              stderr=subprocess.STDOUT, timeout=120)
    assert done.returncode == 0, log.read_text()


def test_what_the_demo_tells_to_try_next_works(checkout):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith("CERTCTL_")}
    said = subprocess.run([ROOT / "demo", "next", "--dir", checkout / "var"],
                          env=env, check=True, capture_output=True, text=True,
                          timeout=20).stdout
    script = said.split("Try next, in any shell:")[1].split("More:")[0]
    assert script.count("\n# ") >= 4, "it is written another way"
    done = subprocess.run(["timeout", "60", "bash", "-c", script], env=env,
                          capture_output=True, text=True, timeout=70)
    shown = done.stdout
    good, revoked = (shown.find(f"device.crt: {word}\n")
                     for word in ("good", "revoked"))
    assert 0 < good < revoked, shown + done.stderr
    serial = re.search(r"^serial=([0-9A-F]+)\nissuer=", shown, re.M)[1]
    assert f"Serial Number: {serial}\n" in shown[revoked:], shown


def test_a2enmod_names_what_apache_needs():
    loaded = set(re.findall(r"^LoadModule (\w+)_module", (
        ROOT / "conf/apache/httpd.conf").read_text(), re.M))
    page = (ROOT / "docs/operating.md").read_text().replace("\\\n", " ")
    named = set(re.search(r"a2enmod (.+)", page)[1].split())
    # Debian enables these itself, or with those that need them.
    assert loaded - named <= {"authz_core", "dir", "mime", "proxy"}


TARGETS = [(n, line, info.split()[-1], text) for n in NAMES
           for line, info, text in blocks(n, "json target")]


@pytest.mark.parametrize("name,line,type,text", TARGETS,
                         ids=[f"{t[0]}:{t[1]}" for t in TARGETS])
def test_a_target_of_the_examples_is_taken(name, line, type, text, world):
    target = world.target(world.agent(), type=type, config=json.loads(text))
    assert target["config"] == json.loads(text)


@pytest.mark.parametrize("name", NAMES)
def test_the_shell_of_a_page_parses(name):
    for line, _, text in blocks(name, "sh"):
        text = re.sub(r"<[a-z][a-z0-9 -]*>", "PLACEHOLDER", text)
        done = subprocess.run(["bash", "-n"], input=text, text=True,
                              capture_output=True, timeout=20)
        assert done.returncode == 0, f"{name}:{line}: {done.stderr}"


# ---- Names -----------------------------------------------------------

def anchors(page):
    """The fragments that the headings of a page are known by."""
    titles = re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^a-z0-9 _-]", "", t.lower()).replace(" ", "-")
            for t in titles}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name):
    page = ROOT / name
    links = re.findall(r"\]\(([^)\s]+)\)", prose(name))
    links += re.findall(r"\b(?:src|srcset|href)=\"([^\"]+)\"", prose(name))
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name}: {link}"
        if fragment:
            assert fragment in anchors(there), f"{name}: {link}"


def test_every_page_can_be_reached_from_the_readme():
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        seen.add(page)
        for link in re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)",
                               page.read_text()):
            there = (page.parent / link).resolve()
            if there not in seen:
                todo.append(there)
    assert set(PAGES) <= seen


def settings():
    """Every setting of the tables that docs/reference writes."""
    page = (ROOT / "docs/configuration.md").read_text()
    return set(re.findall(r"^\| `(CERTCTL_[A-Z0-9_<>]+)` \| .* \| .* \| .* \|$",
                          page, re.M))


def test_the_configuration_reference_is_current():
    done = subprocess.run([ROOT / "docs/reference", "--check"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_named_exists(name):
    known = settings() | DEMO | TESTING
    assert len(known) > 30
    for word in set(re.findall(r"\bCERTCTL_[A-Z_]*[A-Z]\b",
                               (ROOT / name).read_text())):
        # One of an EST profile is known by its end.
        end = re.sub(r"^CERTCTL_EST_(PROFILE_DEVICES_)?",
                     "CERTCTL_EST_PROFILE_<NAME>_", word)
        assert word in known or end in known, f"{name}: {word}"


# ---- The API ---------------------------------------------------------

def routes():
    """(method, path) of every row of the API's route tables."""
    found = set()
    for source in sorted((ROOT / "fcgi/api").glob("*.c")):
        text = source.read_text()
        prefix = dict(re.findall(r'^#define ([A-Z]+) "([^"]+)"$', text, re.M))
        for method, letter, rest in re.findall(
                r'\{ WEB_([A-Z]+), ([A-Z]+ ?)?(?:"([^"]*)")?,', text):
            found.add((method, prefix.get(letter.strip(), "") + rest))
        for name in re.findall(r'^\tRESOURCE\("([^"]+)",', text, re.M):
            for method, rest in (("GET", ""), ("POST", ""), ("GET", "/{id}"),
                                 ("PUT", "/{id}"), ("DELETE", "/{id}")):
                found.add((method, f"/api/v1/{name}{rest}"))
    return {(m, p) for m, p in found if p.startswith("/") and
            "\\" not in p and not p.endswith("/api/v1/")}


def test_every_route_is_documented():
    found = routes()
    assert len(found) > 50, "the route tables are written another way"
    page = (ROOT / "docs/api.md").read_text()
    said = set(re.findall(r"^\| `([A-Z]+) (/[^` ]*)` \|", page, re.M))
    said = {(m, p if p in ("/health", "/ready") else "/api/v1" + p)
            for m, p in said}
    heads = {r for r in found if r[0] == "HEAD"}
    assert said == found - heads
