"""`./run` and `./test` on machines of every kind, as far as a dry run shows; the real thing is test_bare_root.py."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ["run", "test", ".ci/run", ".ci/setup"]
LOCKS = ["requirements.lock", "requirements-dev.lock", ".ci/uv.lock"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the scripts read, without an environment: as after `git clone`."""
    for name in [*SCRIPTS, *LOCKS, "app.py"]:
        target = tmp_path / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return tmp_path / "checkout"


def _dry(checkout: Path, system: str, script: str = "./run", **more: str) -> subprocess.CompletedProcess[str]:
    name, _, version = system.partition(" ")
    release = checkout.parent / "os-release"
    release.write_text(f'ID={name}\nVERSION_ID="{version}"\nPRETTY_NAME="{system}"\n')
    env = {"PATH": os.defpath, "CAMPUS_OS_RELEASE": str(release), "CAMPUS_ROOT_DIR": str(checkout.parent / "bare")} | more
    return subprocess.run([script, "--dry-run"], cwd=checkout, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_plain_posix_shell(script, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", ROOT / script], check=True)
    assert (ROOT / script).read_text().startswith("#!/bin/sh\n")
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize(
    ("system", "packages"),
    [
        ("debian 12", ["ca-certificates", "python3-venv", "postgresql-15-postgis-3", "redis-server", "ffmpeg"]),
        ("debian 13", ["ca-certificates", "python3-venv", "postgresql-17-postgis-3", "valkey-server", "ffmpeg"]),
        ("ubuntu 24.04", ["ca-certificates", "python3-venv", "postgresql-16-postgis-3", "redis-server", "ffmpeg"]),
    ],
)
def test_a_bare_machine_gets_what_it_lacks_and_no_more(checkout, system, packages):
    done = _dry(checkout, system)
    install = next(line for line in done.stdout.splitlines() if "apt-get install" in line)
    assert install.split("--no-install-recommends ")[1].split() == packages
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "+ exec .venv/bin/python app.py up"


def test_no_cluster_is_made_and_no_service_starts_while_packages_are_installed(checkout):
    lines = _dry(checkout, "debian 12").stdout.splitlines()

    def at(part: str) -> int:
        return next(number for number, line in enumerate(lines) if part in line)

    install = at("apt-get install")
    assert at("write /etc/postgresql-common/createcluster.conf: create_main_cluster = false") < install
    assert at("write /usr/sbin/policy-rc.d: #!/bin/sh\\nexit 101") < at("chmod 755 /usr/sbin/policy-rc.d") < install
    assert install < at("rm -f /usr/sbin/policy-rc.d")
    assert not any("systemctl" in line or "service " in line or "5432" in line or "6379" in line for line in lines)


def test_a_policy_of_the_machine_itself_stays(checkout):
    policy = checkout.parent / "bare/usr/sbin/policy-rc.d"
    policy.parent.mkdir(parents=True)
    policy.touch()
    assert "policy-rc.d" not in _dry(checkout, "debian 12").stdout


def test_a_machine_that_has_all_is_not_asked_for_packages(checkout):
    bare = checkout.parent / "bare"
    for name in ("usr/bin/valkey-server", "usr/bin/ffmpeg", "usr/lib/postgresql/16/bin/initdb"):
        (bare / name).parent.mkdir(parents=True, exist_ok=True)
        (bare / name).write_text("#!/bin/sh\n")
        (bare / name).chmod(0o755)
    (bare / "usr/bin/python3").symlink_to("/usr/bin/python3")
    for name in ("etc/ssl/certs/ca-certificates.crt", "usr/share/postgresql/16/extension/postgis.control"):
        (bare / name).parent.mkdir(parents=True, exist_ok=True)
        (bare / name).touch()
    assert "apt-get" not in _dry(checkout, "debian 12").stdout


@pytest.mark.parametrize("system", ["debian 11", "debian 9", "ubuntu 22.04", "ubuntu 20.10", "fedora 41", "alpine 3.22"])
def test_another_system_is_refused_with_one_sentence(checkout, system):
    done = _dry(checkout, system)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(system)


def test_a_dry_run_changes_nothing(checkout):
    before = sorted((path, path.lstat().st_mtime_ns) for path in checkout.rglob("*"))
    _dry(checkout, "debian 12")
    _dry(checkout, "debian 13", "./test")
    assert sorted((path, path.lstat().st_mtime_ns) for path in checkout.rglob("*")) == before


def test_the_tests_need_more_than_the_product(checkout):
    product, tests = _dry(checkout, "debian 12").stdout, _dry(checkout, "debian 12", "./test").stdout
    assert "chromium" in tests
    assert "-r requirements-dev.lock" in tests
    assert "chromium" not in product
    assert "-r requirements.lock" in product


def test_an_environment_that_fits_the_lock_is_left_alone(checkout):
    python = subprocess.run(["/usr/bin/python3", "-V"], capture_output=True, text=True, check=True).stdout.strip()
    text = b"".join((checkout / name).read_bytes() for name in ("requirements.lock", "requirements-dev.lock"))
    done = subprocess.run(["sha256sum"], input=text, capture_output=True, check=True).stdout.decode()[:32]
    (checkout / ".venv").mkdir()
    (checkout / ".venv/.installed").write_text(f"dev {done} {python}\n")
    assert ".venv/bin/uv" not in _dry(checkout, "debian 12").stdout
    with (checkout / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    after = _dry(checkout, "debian 12").stdout
    assert "-r requirements-dev.lock" in after, "once the tools are there they stay, at the lock's version"
    assert "venv --clear" not in after


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: only root has somebody else to run the workers as")
def test_a_checkout_the_workers_cannot_enter_gets_its_environment_elsewhere(checkout):
    closed = _dry(checkout, "debian 12").stdout  # pytest's folders are 0700
    assert "+ ln -s /usr/local/lib/campus/venv .venv" in closed


def test_an_unknown_word_is_answered_with_the_usage(checkout):
    done = subprocess.run(["./run", "--quick"], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--dry-run" in done.stderr
