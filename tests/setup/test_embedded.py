"""The private servers: every trap that was met on a real machine, tried again on this one."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

from data.core import binaries, embedded, migrate, process, secret
from data.core.settings import Settings, read

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: it checks how root's rights are dropped")


@pytest.fixture
def own(open_dir: Path) -> Settings:
    """Settings with a data directory of their own, servers not started."""
    return read({"DATA_DIR": str(open_dir / "data"), "DEMO": "0"})


@pytest.fixture
def start() -> Iterator[Callable[[Settings], embedded.Servers]]:
    """Start the servers of a data directory; stopped after the test."""
    made: list[embedded.Servers] = []

    def begin(settings: Settings) -> embedded.Servers:
        made.append(embedded.Servers(settings, durable=False))
        made[-1].start()
        return made[-1]

    yield begin
    for servers in reversed(made):
        servers.stop()


@as_root
def test_as_root_nothing_of_it_runs_as_root(settings, servers):
    for name, user in (("postgres", "postgres"), ("redis", embedded.product_account().name)):
        pid = servers.pid(name)
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        assert {one.username() for one in tree} == {user}


def test_no_server_listens_on_the_network(settings, servers):
    for name in ("postgres", "redis"):
        assert psutil.Process(servers.pid(name)).net_connections(kind="inet") == []


def test_only_the_product_can_enter_the_sockets(settings, servers):
    assert stat.S_IMODE(settings.run_dir.stat().st_mode) in (0o700, 0o710)
    assert stat.S_IMODE((settings.run_dir / "pg").stat().st_mode) in (0o700, 0o750)
    assert stat.S_IMODE((settings.secret_dir / "pgpass").stat().st_mode) == 0o600


def test_app_needs_its_password_and_the_owner_is_not_reached_by_one(settings, servers):
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(settings.app_dsn.partition(" passfile")[0])
    product = embedded.product_account()
    if product.drop:
        code = f"import psycopg; psycopg.connect({settings.owner_socket_dsn!r})"
        done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False, **product.drop)
        assert "Peer authentication failed" in done.stderr


def test_app_owns_nothing_and_may_not_create(settings, servers):
    with psycopg.connect(settings.app_dsn, autocommit=True) as conn:
        assert conn.execute("select count(*) from pg_class where relowner = current_user::regrole").fetchone() == (0,)
        role = conn.execute(
            "select rolsuper, rolcreaterole, rolcreatedb, rolbypassrls from pg_roles where rolname = current_user"
        ).fetchone()
        assert role == (False, False, False, False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("create table mine (n int)")


def test_starting_what_runs_already_changes_nothing(settings, servers):
    before = servers.pid("postgres"), servers.pid("redis")
    servers.start()
    again = embedded.Servers(settings)  # as a second program sees it
    again.start()
    assert (again.pid("postgres"), again.pid("redis")) == before


def test_killed_servers_start_again_over_their_stale_files_and_keep_the_data(own, start, wait_for):
    first = start(own)
    with psycopg.connect(own.owner_socket_dsn, autocommit=True) as conn:
        conn.execute("create table kept (n int)")
        conn.execute("insert into kept values (7)")
    for name in ("postgres", "redis"):
        os.kill(first.pid(name), signal.SIGKILL)
    wait_for(lambda: first.dead() == ["postgres", "redis"])
    second = start(own)
    with psycopg.connect(own.owner_socket_dsn) as conn:
        assert conn.execute("select n from kept").fetchone() == (7,)
    second.stop()
    assert not own.run_dir.exists()


def test_unreadable_redis_data_are_set_aside_and_it_starts_empty(own, start):
    start(own).stop()
    folder = own.data_dir / "redis/appendonlydir"
    for file in folder.glob("*.manifest"):
        file.write_bytes(b"not a manifest\n")
    start(own)
    assert (own.data_dir / "redis.unreadable").exists()


def test_a_data_directory_may_be_deeper_than_a_socket_path(own, start):
    deep = replace(own, data_dir=own.data_dir / ("d" * 60) / ("e" * 60) / ("f" * 60))
    deep.data_dir.parent.mkdir(parents=True)
    assert start(deep).pid("postgres")
    assert len(os.fsencode(deep.data_dir)) > embedded.SOCKET_PATH_MOST


@as_root
def test_a_closed_folder_above_the_data_is_said_in_one_sentence(own, start):
    own.data_dir.parent.chmod(0o700)
    with pytest.raises(embedded.ServerTrouble, match=r"cannot enter .* set DATA_DIR=/var/lib/campus"):
        start(own)


def test_root_keeps_its_data_out_of_its_home():
    assert read({}).data_dir == (Path("/var/lib/campus") if os.getuid() == 0 else Path.home() / ".local/share/campus")


@as_root
def test_a_socket_folder_made_by_somebody_else_is_refused(own, start):
    own.run_dir.mkdir()
    os.chown(own.run_dir, 1, 1)
    try:
        with pytest.raises(embedded.ServerTrouble, match="belongs to somebody else"):
            start(own)
    finally:
        own.run_dir.rmdir()


def test_data_of_another_postgresql_is_said_with_the_package_to_install(own, start):
    (own.data_dir / "pg").mkdir(parents=True)
    (own.data_dir / "pg/PG_VERSION").write_text("14\n")
    with pytest.raises(embedded.ServerTrouble, match=r"made by PostgreSQL 14 .* install postgresql-14-postgis-3"):
        start(own)


def test_a_machine_without_postgis_is_told_what_to_install(tmp_path):
    with pytest.raises(embedded.ServerTrouble, match="postgresql-NN-postgis-3"):
        binaries.find_postgres(tmp_path, folders=[])


def test_a_postgis_that_is_too_old_stops_the_migration(settings, servers, monkeypatch):
    monkeypatch.setattr(embedded, "POSTGIS_LEAST", (99, 0))
    with pytest.raises(embedded.ServerTrouble, match=r"PostGIS 3\.\d+.* is too old: 99\.0 or newer"):
        migrate.run(settings)


@pytest.mark.parametrize(
    ("there", "taken"),
    [(["redis-server"], "redis-server"), (["valkey-server"], "valkey-server"), (["redis-server", "valkey-server"], "valkey-server")],
)
def test_either_name_of_the_redis_program_will_do(tmp_path, there, taken):
    for name in there:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert binaries.find_redis(str(tmp_path)).name == taken


def test_a_machine_with_neither_is_told(tmp_path):
    with pytest.raises(embedded.ServerTrouble, match="Neither valkey-server nor redis-server"):
        binaries.find_redis(str(tmp_path))


def test_missing_shared_memory_gives_mmap(tmp_path):
    assert binaries.shared_memory(tmp_path / "none") == "mmap"


def _can_mount() -> bool:
    return os.getuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0


needs_mount = pytest.mark.skipif(not _can_mount(), reason="needs root that may mount: it gives the servers a small file system")

_ONE_START = """
import sys
from data.core import embedded, settings
made = settings.read({"DATA_DIR": sys.argv[1], "DEMO": "0"})
servers = embedded.Servers(made, durable=False)
try:
    servers.start()
    import psycopg
    with psycopg.connect(made.owner_socket_dsn) as conn:
        print(conn.execute("show dynamic_shared_memory_type").fetchone()[0])
except embedded.ServerTrouble as err:
    print(err)
finally:
    servers.stop()
"""


def _in_mount(mount: str, data_dir: Path) -> str:
    script = f"{mount} && exec {sys.executable} -c '{_ONE_START}' {data_dir}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@needs_mount
def test_postgresql_starts_where_dev_shm_is_tiny(own):
    assert _in_mount("mount -t tmpfs -o size=8m none /dev/shm", own.data_dir) == "mmap"


@needs_mount
@pytest.mark.parametrize("size", ["12m", "30m"], ids=["initdb", "start"])
def test_a_full_disk_is_said_in_one_sentence(own, size):
    own.data_dir.mkdir()
    said = _in_mount(f"mount -t tmpfs -o size={size} none {own.data_dir}", own.data_dir)
    assert said == f"The disk is full: free some space under {own.data_dir} and start again."


def test_servers_end_with_a_program_that_is_killed(own, wait_for):
    code = (
        "import sys, time; from data.core import embedded, settings;"
        "servers = embedded.Servers(settings.read({'DATA_DIR': sys.argv[1], 'DEMO': '0'}), durable=False); servers.start();"
        "print(servers.pid('postgres'), servers.pid('redis'), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(own.data_dir)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        pids = [int(word) for word in program.stdout.readline().split()]
        program.kill()
        program.wait()
    assert len(pids) == 2
    wait_for(lambda: not any(process.alive(pid) for pid in pids), 10)
    shutil.rmtree(own.run_dir)


def test_a_secret_is_whole_and_closed_from_the_first_byte(tmp_path):
    secret.write_secret(tmp_path / "key", "first\n")
    secret.write_secret(tmp_path / "key", "second\n")
    assert (tmp_path / "key").read_text() == "second\n"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_the_demo_password_is_made_once_or_given(own):
    own.secret_dir.mkdir(parents=True)
    made = secret.demo_password(own)
    assert len(made) >= 12
    assert secret.demo_password(own) == made
    assert secret.demo_password(replace(own, demo_password="given")) == "given"


def test_a_child_ends_when_its_parent_is_killed(tmp_path, wait_for):
    child = (
        "import os, sys, time; from data.core.process import follow_parent; follow_parent(int(sys.argv[1]));"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    parent = f"import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())]).wait()"
    with subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT) as started:
        pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        assert process.alive(pid)
        started.kill()
        started.wait()
    wait_for(lambda: not process.alive(pid))
