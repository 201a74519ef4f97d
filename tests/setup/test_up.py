"""`app.py up` as a person starts it: a process in a terminal, on an empty city, with every role."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
import redis as redis_client

from data.core import embedded, secret, session
from data.core import up as startup
from data.core.settings import Settings, read

ROOT = Path(__file__).parents[2]


def lives(process: psutil.Process) -> bool:
    """Whether it runs; one that ended and was not collected yet does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Running:
    """One `app.py up` with its settings and what it says."""

    def __init__(self, *before: str, python: Path = Path(sys.executable), cwd: Path = ROOT, **env: str) -> None:
        self.env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "DEMO": "0"} | env
        self.settings: Settings = read(self.env)
        self.log = Path(tempfile.mkstemp(prefix="campus-up-")[1])
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*before, python, "app.py", "up"], cwd=cwd, env=self.env, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def until(self, check: Callable[[], object], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not check():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)

    def ready(self) -> Running:
        self.until(lambda: "Campus Safety Map is ready" in self.said())
        return self

    def tree(self) -> list[psutil.Process]:
        """Everything it started that still lives."""
        return [one for one in psutil.Process(self.process.pid).children(recursive=True) if lives(one)]

    def role(self, name: str) -> psutil.Process | None:
        """Its own child for a role or a server; None while there is none."""
        for one in psutil.Process(self.process.pid).children():
            try:
                if one.name() == name or f"app.py {name}" in " ".join(one.cmdline()):
                    return one
            except psutil.NoSuchProcess:
                continue
        return None

    def stop(self) -> float:
        """Seconds until it had ended."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(15)
        return time.monotonic() - begun


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="campus-up-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    """One that runs for all tests that only look."""
    folder = Path(tempfile.mkdtemp(prefix="campus-up-"))
    folder.chmod(0o711)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    one = Running(DATA_DIR=str(folder), PORT=str(port)).ready()
    one.until(lambda: all(one.role(name) for name in ("web", "ingest", "devices", "vision")))
    yield one
    one.stop()
    one.log.unlink()
    shutil.rmtree(folder)


@pytest.fixture
def up(data_dir: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def start(*before: str, python: Path = Path(sys.executable), cwd: Path = ROOT, **env: str) -> Running:
        made.append(Running(*before, python=python, cwd=cwd, **({"DATA_DIR": str(data_dir), "PORT": str(free_port())} | env)))
        return made[-1]

    yield start
    for one in made:
        one.stop()
        one.log.unlink()


def _get(url: str, context: ssl.SSLContext | None = None) -> int:
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        return answer.status


def test_it_starts_serves_stops_within_five_seconds_and_leaves_nothing(up):
    one = up().ready()
    assert _get(f"{one.settings.url}/healthz") == 200
    assert _get(f"{one.settings.url}/login") == 200
    everything = one.tree()
    assert len(everything) >= 6
    assert one.stop() < 5.0
    assert one.process.returncode == 0
    assert not [process for process in everything if lives(process)]
    assert not one.settings.run_dir.exists()
    assert (one.settings.data_dir / "instance.json").read_text() == ""


def test_ctrl_c_in_the_terminal_is_a_clean_stop_too(up):
    one = up().ready()
    os.kill(one.process.pid, signal.SIGINT)
    one.process.wait(5)
    assert one.process.returncode == 0
    assert "stopped" in one.said().splitlines()[-1]


def test_the_next_start_reaches_the_web_within_eight_seconds(up):
    up().ready().stop()
    begun = time.monotonic()
    up().ready()
    assert time.monotonic() - begun < 8.0


def test_only_the_web_listens_on_the_network(shared):
    one = shared
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in [psutil.Process(one.process.pid), *one.tree()]
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", one.settings.port)}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: it checks how root's rights are dropped")
def test_as_root_only_the_supervisor_itself_is_root(shared):
    users = {process.username() for process in shared.tree()}
    assert users == {"postgres", embedded.product_account().name}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: everybody else's tests run as an ordinary user anyway")
def test_an_ordinary_user_runs_all_of_it_as_himself(up, open_dir):
    os.chown(open_dir, 65534, 65534)
    one = up("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", DATA_DIR=str(open_dir / "data"), HOME=str(open_dir)).ready()
    assert {process.uids().real for process in one.tree()} == {65534}
    assert one.stop() < 5.0
    assert not one.settings.run_dir.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: only root has somebody else to run the workers as")
def test_a_checkout_in_a_closed_folder_is_served_from_a_copy(up, open_dir, tmp_path):
    """As ./run leaves it for root's clone in /root: environment outside, `.venv` a link to it."""
    closed = tmp_path / "closed/checkout"
    shutil.copytree(ROOT, closed, ignore=shutil.ignore_patterns(".git", ".venv", "tests", "__pycache__", "bench-out", ".*_cache"))
    closed.parent.chmod(0o700)
    venv.create(open_dir / "venv", symlinks=True)
    (packages,) = (open_dir / "venv/lib").glob("python*/site-packages")
    (packages / "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (closed / ".venv").symlink_to(open_dir / "venv")
    one = up(python=closed / ".venv/bin/python", cwd=closed, DATA_DIR=str(open_dir / "data")).ready()
    web = one.role("web")
    assert web is not None
    assert web.cwd() == str(open_dir / "code")
    assert _get(f"{one.settings.url}/login") == 200


def test_a_second_start_names_the_first_and_ends(up, shared):
    for same_port in ({"PORT": str(shared.settings.port)}, {}):
        second = up(DATA_DIR=str(shared.settings.data_dir), **same_port)
        assert second.process.wait(20) == 2
        assert f"It already runs: process {shared.process.pid}, {shared.settings.url}" in second.said()
    assert _get(f"{shared.settings.url}/healthz") == 200


def test_a_busy_port_is_one_sentence_before_anything_is_made(up, free_port, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        one = up(PORT=str(taken.getsockname()[1]), DATA_DIR=str(tmp_path / "new"))
        assert one.process.wait(20) == 2
    assert one.said().strip() == (
        f"Port {one.settings.port} on 127.0.0.1 is in use by another program: stop it, or choose one with PORT=8051 ./run."
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["web", "ingest", "postgres", "redis-server", "valkey-server"])
def test_whatever_is_killed_comes_back(up, name):
    one = up().ready()
    killed = one.role(name)
    if killed is None:
        assert name.endswith("-server")
        pytest.skip(f"this machine runs the other one, not {name}")
    killed.kill()
    killed.wait(5)

    def back() -> bool:
        now = one.role(name)
        return now is not None and now.pid != killed.pid and lives(now)

    one.until(back, 20)
    one.until(lambda: _answers(one), 30)


def _answers(one: Running) -> bool:
    try:
        return _get(f"{one.settings.url}/healthz") == 200
    except OSError:
        return False


def test_killed_itself_it_takes_its_roles_along_and_starts_again(up, wait_for):
    one = up().ready()
    roles = [process for process in one.tree() if "app.py" in " ".join(process.cmdline())]
    one.process.kill()
    one.process.wait()
    wait_for(lambda: not any(lives(process) for process in roles), 10)
    again = up().ready()
    assert _get(f"{again.settings.url}/healthz") == 200


def test_plain_http_off_loopback_is_refused(data_dir):
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir), "HOST": "0.0.0.0"}
    done = subprocess.run([sys.executable, "app.py", "up"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "without TLS=1" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_with_tls_a_browser_that_trusts_the_authority_gets_in(up):
    one = up(TLS="1", HOST="0.0.0.0").ready()
    trusting = ssl.create_default_context(cafile=str(one.settings.tls_dir / "ca.crt"))
    assert _get(f"https://localhost:{one.settings.port}/healthz", trusting) == 200
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        _get(f"https://localhost:{one.settings.port}/healthz", ssl.create_default_context())


def test_with_servers_of_ones_own_none_is_started(up, settings, database, redis):
    one = up(CAMPUS_DATABASE_URL=database.dsn, CAMPUS_OWNER_URL=database.owner_dsn, CAMPUS_REDIS_URL=settings.redis).ready()
    names = {process.name() for process in one.tree()}
    assert not names & {"postgres", "redis-server", "valkey-server"}
    roles = {key.decode().rpartition(":")[2] for key in redis.scan_iter("campus:role:*")}
    assert {"web", "ingest"} <= roles


def test_a_database_of_ones_own_that_is_behind_is_said(up, settings, servers):
    admin = settings.owner_socket_dsn.replace("dbname=campus", "dbname=postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute("create database behind template template0")
        try:
            one = up(CAMPUS_DATABASE_URL=settings.app_dsn.replace("dbname=campus", "dbname=behind"), CAMPUS_REDIS_URL=settings.redis)
            assert one.process.wait(20) == 2
            assert "is behind this version: set CAMPUS_OWNER_URL" in one.said()
        finally:
            conn.execute("drop database behind with (force)")


def test_the_state_of_every_role_is_in_redis(shared):
    client = redis_client.Redis.from_url(shared.settings.redis)

    def up_now() -> set[str]:
        states = [json.loads(client.get(key) or "{}") for key in client.scan_iter("campus:role:*")]
        return {state["role"] for state in states if state.get("up")}

    try:
        shared.until(lambda: up_now() == {"web", "ingest", "devices", "vision"})
        web, running = json.loads(client.get("campus:role:web") or "{}"), shared.role("web")
        assert running is not None
        assert (web["pid"], web["restarts"]) == (running.pid, 0)
    finally:
        client.close()


def _small_disk() -> bool:
    return os.getuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _small_disk(), reason="needs root that may mount: it gives the data a small file system")
def test_a_full_disk_is_one_sentence(data_dir, free_port):
    script = f"mount -t tmpfs -o size=100m none {data_dir} && exec {sys.executable} app.py up"
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir), "DEMO": "0", "PORT": str(free_port())}
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "The disk is full" in done.stderr.splitlines()[-1]


def test_a_changed_demo_password_reaches_the_demo_accounts_and_only_them(database, owner):
    hashed = session.hash_password("the first one")
    for login, role, demo in (("dispatcher", "dispatcher", True), ("recorder", "recorder", True), ("mine", "admin", False)):
        owner.execute(
            "insert into account (login, password_hash, name_zh, name_en, role, demo) values (%s, %s, 'x', 'x', %s, %s)",
            (login, hashed, role, demo),
        )

    def fits(login: str, password: str) -> bool:
        row = owner.execute("select password_hash from account where login = %s", (login,)).fetchone()
        return session.verify(row["password_hash"], password)

    secret.keep_demo_password(database.settings, "the first one")
    changed = replace(database.settings, demo=True, demo_password="the second one")
    assert startup._demo_logins(changed) == ["dispatcher"]
    assert fits("dispatcher", "the second one")
    assert fits("mine", "the first one")
    assert secret.demo_password(replace(changed, demo_password="")) == "the second one", "it stays when the setting is gone again"
