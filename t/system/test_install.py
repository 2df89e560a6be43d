"""What "make install" puts where, and whether its parts agree."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("signer", "api", "pki", "est", "workers", "agent")
# By systemd-analyze's count, in tenths: 0 is best, 100 worst.
EXPOSURE = {"agent": 35, "signer": 10}


@pytest.fixture(scope="module")
def dest(tmp_path_factory):
    place = tmp_path_factory.mktemp("dest")
    done = subprocess.run(
        ["make", "-C", os.environ["CERTCTL_BUILD_DIR"], "install",
         "prefix=/usr", "sysconfdir=/etc", f"DESTDIR={place}"],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return place


def unit(dest, name):
    """The settings of a unit: {key: [values]}."""
    found = {}
    text = (dest / f"usr/lib/systemd/system/certctl-{name}.service"
            ).read_text()
    for line in text.splitlines():
        key, eq, value = line.partition("=")
        if eq and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def rules(dest, kind):
    text = (dest / f"usr/lib/{kind}.d/certctl.conf").read_text()
    return [re.findall(r'"[^"]*"|\S+', line) for line in text.splitlines()
            if line and not line.startswith("#")]


def environment(u):
    return dict(v.split("=", 1) for v in u.get("Environment", ()))


def test_every_program_tells_the_same_version(dest):
    said = {subprocess.run([dest / f"usr/bin/certctl-{name}", "--version"],
                           capture_output=True, text=True, timeout=20,
                           check=True).stdout.removeprefix(f"certctl-{name} ")
            for name in PROGRAMS}
    assert len(said) == 1 and said.pop()[0].isdigit()


def test_everything_is_there_and_documented(dest):
    docs = (SOURCE / "docs/operating.md").read_text()
    for name in PROGRAMS:
        program = dest / f"usr/bin/certctl-{name}"
        assert os.access(program, os.X_OK)
        assert f"certctl-{name}" in docs
        assert any(f"/usr/bin/certctl-{name}" in v
                   for v in unit(dest, name)["ExecStart"])
    conf = dest / "usr/share/certctl/conf"
    for server in ("nginx", "apache"):
        want = {p.relative_to(SOURCE / "conf") for p in
                (SOURCE / "conf" / server).rglob("*") if p.is_file()}
        assert {p.relative_to(conf) for p in (conf / server).rglob("*")
                if p.is_file()} == want
    for _, account, *_ in [r for r in rules(dest, "sysusers")
                           if r[0] == "u"]:
        assert f"`{account}`" in docs, account
    for name in ("signer", "pki", "est", "workers"):
        assert "certctl-" + name in docs[docs.index("## Start"):]


def test_the_units_are_right(dest, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    for name in PROGRAMS:
        source = f"usr/lib/systemd/system/certctl-{name}.service"
        copy = tmp_path / f"certctl-{name}.service"
        copy.write_text((dest / source).read_text().replace(
            "ExecStart=/usr/bin/certctl-", f"ExecStart={dest}/usr/bin/"
            "certctl-"))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no",
             "--recursive-errors=no", copy], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), name
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager",
             f"--threshold={EXPOSURE.get(name, 15)}", copy],
            capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-200:]


def test_accounts_and_sockets_agree(dest):
    users = {r[1] for r in rules(dest, "sysusers") if r[0] == "u"}
    groups = {tuple(r[1:3]) for r in rules(dest, "sysusers") if r[0] == "m"}
    for name in PROGRAMS[:-1]:
        u = unit(dest, name)
        assert set(u["User"]) <= users
        assert set(u["Group"]) <= users | {"www-data"}
    signer = unit(dest, "signer")
    where = environment(signer)["CERTCTL_SIGNER_SOCKET"]
    assert where == f"/run/{signer['RuntimeDirectory'][0]}/signer.sock"
    assert signer["RuntimeDirectoryMode"] == ["0750"]
    heard = {a.split(":")[0] for a in environment(signer)[
        "CERTCTL_SIGNER_ALLOW"].split(",")}
    asking = {unit(dest, name)["User"][0] for name in PROGRAMS[:-1] if
              environment(unit(dest, name)).get("CERTCTL_SIGNER_SOCKET")
              == where} - {"certctl_signer"}
    assert heard == asking == {"certctl", "certctl_est"}
    # They reach it as the signer's group.
    group, = signer["Group"]
    for user in heard:
        assert user == group or (user, group) in groups
    # The web servers' configuration and the units name the same sockets.
    for name in ("api", "pki", "est"):
        u = unit(dest, name)
        at = re.search(r"-s (\S+) -M 0660", u["ExecStart"][0])[1]
        assert at == f"/run/{u['RuntimeDirectory'][0]}/{name}.sock"
        assert u["Group"] == ["www-data"]
        # Who reads /etc/certctl must be able to.
        assert (u["User"][0], "certctl") in groups
        for server in ("nginx", "apache"):
            conf = (dest / "usr/share/certctl/conf" / server).rglob("*.conf")
            assert any(f"unix:{at}" in c.read_text() for c in conf), at


def test_directories_have_one_owner(dest):
    made = {r[1]: r[2:5] for r in rules(dest, "tmpfiles")}
    for name in PROGRAMS:
        u = unit(dest, name)
        for state in u.get("StateDirectory", ()):
            path = f"/var/lib/{state}"
            assert u["StateDirectoryMode"] == ["0700"]
            # systemd gives the service all that lies in it.
            assert not any((other + "/").startswith(path + "/")
                           for other in made), path
            assert environment(u)["CERTCTL_STATE_DIR"] == path
        for path in u.get("ReadWritePaths", ()):
            if path.startswith("/var"):
                assert made[path] == ["0755", u["User"][0], "root"]
    assert made["/etc/certctl"] == ["0750", "root", "certctl"]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes other users' files")
def test_they_can_be_made(dest):
    if not shutil.which("systemd-tmpfiles"):
        pytest.skip("systemd is not installed")
    (dest / "etc").mkdir(exist_ok=True)
    for tool in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        done = subprocess.run([*tool, f"--root={dest}"],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    uids = {line.split(":")[0]: int(line.split(":")[2]) for line in
            (dest / "etc/passwd").read_text().splitlines()}
    for _, path, mode, user, *_ in rules(dest, "tmpfiles"):
        made = (dest / path.lstrip("/")).stat()
        assert made.st_mode & 0o7777 == int(mode, 8)
        assert made.st_uid == uids.get(user, 0)
