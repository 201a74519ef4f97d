"""The README's first command on a bare Debian: debootstrap minbase, a fresh clone, `./run`, the map, stop, start again.

Takes some minutes and downloads about a gigabyte, so it is `slow`. Behind a proxy of your own set SSL_CERT_FILE: it is taken along.
CAMPUS_BARE_ROOT names a folder with room for 4 GB and may hold a base from before as `<suite>`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data.core.process import alive

ROOT = Path(__file__).parents[2]
MIRROR = "http://deb.debian.org/debian"
COLD_S, WARM_S, STOP_S = 300.0, 8.0, 5.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root: it makes a chroot"),
    pytest.mark.skipif(shutil.which("debootstrap") is None, reason="needs debootstrap"),
]


class Bare:
    """A chroot with a fresh clone in /srv/campus."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port
        self.env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "PORT": str(port)}

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            return subprocess.Popen(
                ["chroot", self.root, "sh", "-c", "cd /srv/campus && exec ./run"],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def until_map(self, running: subprocess.Popen[bytes], log: Path, seconds: float) -> float:
        """Seconds until the login page of the map is served."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            assert running.poll() is None, log.read_text(errors="replace")[-3000:]
            if "Campus Safety Map is ready" in log.read_text(errors="replace"):
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/login", timeout=5) as answer:
                    assert answer.status == 200
                return time.monotonic() - begun
            time.sleep(0.1)
        raise AssertionError(f"no map after {seconds} s: {log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(params=["bookworm", "trixie"])
def bare(request: pytest.FixtureRequest, free_port: Callable[[], int]) -> Iterator[Bare]:
    suite, store = request.param, Path(os.environ.get("CAMPUS_BARE_ROOT") or tempfile.mkdtemp(prefix="campus-bare-"))
    base, root = store / suite, store / f"{suite}-run"
    if not base.exists():
        subprocess.run(["debootstrap", "--variant=minbase", suite, base, MIRROR], check=True, capture_output=True)
    subprocess.run(["cp", "-a", base, root], check=True)
    made = Bare(root, free_port())
    mounts = [(["-t", "proc", "proc"], root / "proc"), (["-t", "devpts", "devpts"], root / "dev/pts")]
    try:
        for what, where in mounts:
            subprocess.run(["mount", *what, where], check=True)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        if "SSL_CERT_FILE" in os.environ:
            shutil.copy(os.environ["SSL_CERT_FILE"], root / "opt/ca.pem")
            made.env |= {"SSL_CERT_FILE": "/opt/ca.pem", "PIP_CERT": "/opt/ca.pem"}
        made.env |= {name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy")}
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, root / "srv/campus"], check=True)
        yield made
    finally:
        for _, where in mounts:
            subprocess.run(["umount", "-l", where], check=False)
        subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)
        if "CAMPUS_BARE_ROOT" not in os.environ:
            subprocess.run(["rm", "-rf", "--one-file-system", store], check=True)


def test_two_commands_on_a_bare_machine_give_the_map(bare, tmp_path, record_property):
    assert shutil.which("python3", path=str(bare.root / "usr/bin")) is None, "a minbase root has none"
    cold, warm = tmp_path / "cold.log", tmp_path / "warm.log"

    running = bare.start(cold)
    cold_s = bare.until_map(running, cold, 1200)
    said = cold.read_text(errors="replace")
    assert not (bare.root / "usr/sbin/policy-rc.d").exists()
    assert list((bare.root / "etc/postgresql").glob("*")) == [], "no system cluster was made"
    assert "one per role:  commander" in said
    stop_s = _stop(bare, running)

    running = bare.start(warm)
    warm_s = bare.until_map(running, warm, 120)
    assert "apt-get" not in warm.read_text(errors="replace")
    _stop(bare, running)

    figures = {"cold_s": round(cold_s, 1), "warm_s": round(warm_s, 1), "stop_s": round(stop_s, 1)}
    record_property("figures", figures)
    print(json.dumps(figures))
    assert cold_s < COLD_S
    assert warm_s < WARM_S
    assert stop_s < STOP_S


def _stop(bare: Bare, running: subprocess.Popen[bytes]) -> float:
    """Ctrl-C; seconds until all of it has ended."""
    instance = json.loads((bare.root / "var/lib/campus/instance.json").read_text())
    begun = time.monotonic()
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(30) == 0
    assert not [pid for pid in instance["roles"].values() if alive(pid)]
    return time.monotonic() - begun
