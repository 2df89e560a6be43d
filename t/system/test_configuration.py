"""What a process may be told, and what it refuses to start with."""

import subprocess

import pytest


def check_config(stack, **settings):
    env = {"PATH": "/usr/bin:/bin",
           "CERTCTL_DATABASE_URL": "postgres:///certctl",
           "CERTCTL_CONFIG_FILE": "/dev/null",
           "CERTCTL_RUN_DIR": str(stack.dir / "tmp"),
           "CERTCTL_CONFIG_ENCRYPTION_KEY": "k" * 32,
           "CERTCTL_AGENT_BOOTSTRAP_TOKEN": "t" * 32}
    env.update(settings)
    return subprocess.run([stack.dir / "bin/certctl-api", "--check-config"],
                          env=env, capture_output=True, text=True,
                          timeout=20)


GOOD = {"CERTCTL_API_KEYS_NAMED": "ops:0123456789abcdef:admin"}


def test_named_keys_need_no_other_secret(stack):
    done = check_config(stack, **GOOD)
    assert done.returncode == 0, done.stderr
    assert "0123456789abcdef" not in done.stdout + done.stderr


@pytest.mark.parametrize("value", [" , ,", "", ","])
def test_a_secret_of_nothing_refuses_to_start(stack, value):
    done = check_config(stack, CERTCTL_AUTH_SECRET=value)
    assert done.returncode != 0 and "no key" in done.stderr


@pytest.mark.parametrize("keys", [
    "a", "a:", ":b", "a:b:root", "a:b:admin:x", "a b:c", "a:b,a:b",
    "a:b,a:c:admin", "\u00e4:b"])
def test_bad_named_keys_refuse_to_start(stack, keys):
    done = check_config(stack, CERTCTL_API_KEYS_NAMED=keys)
    assert done.returncode != 0
    assert "CERTCTL_API_KEYS_NAMED" in done.stderr


def test_a_name_may_have_two_keys(stack):
    assert check_config(stack, CERTCTL_API_KEYS_NAMED="a:one-key:admin,"
                        "a:other-key:admin").returncode == 0


@pytest.mark.parametrize("name,value", [
    ("CERTCTL_RATE_LIMIT_RPS", "fast"), ("CERTCTL_RATE_LIMIT_RPS", "-1"),
    ("CERTCTL_RATE_LIMIT_ENABLED", "perhaps"),
    ("CERTCTL_MAX_BODY_SIZE", "1MB"), ("CERTCTL_AUTH_TYPE", "jwt"),
    ("CERTCTL_AUTH_TYPE", "oidc "), ("CERTCTL_LOG_LEVEL", "chatty"),
    ("CERTCTL_CONFIG_ENCRYPTION_KEY", "short"),
    ("CERTCTL_SCHEDULER_RENEWAL_CHECK_INTERVAL", "0s"),
    ("CERTCTL_SCHEDULER_RENEWAL_CHECK_INTERVAL", "59s"),
    ("CERTCTL_SCHEDULER_RETRY_INTERVAL", "-5m"),
    ("CERTCTL_JOB_TIMEOUT_INTERVAL", "ten"),
    ("CERTCTL_NO_SUCH_SETTING", "1"), ("CERTCTL_KEYGEN_MODE", "both")])
def test_a_bad_or_unknown_value_refuses_to_start(stack, name,
                                                              value):
    done = check_config(stack, **{**GOOD, name: value})
    assert done.returncode != 0
    assert name in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_true_has_several_spellings(stack):
    for value in ("true", "1", "yes", "false", "0", "no"):
        done = check_config(stack, **GOOD, CERTCTL_RATE_LIMIT_ENABLED=value)
        assert done.returncode == 0, (value, done.stderr)


def test_a_responder_without_a_socket_ends(stack):
    done = subprocess.run(
        [stack.dir / "bin/certctl-api"], stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "CERTCTL_CONFIG_FILE": "/dev/null",
             "CERTCTL_RUN_DIR": str(stack.dir / "tmp"), **GOOD},
        capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and done.stderr.strip()
