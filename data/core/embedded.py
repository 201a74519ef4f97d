"""A private PostgreSQL + PostGIS and a private Redis (or Valkey) in the data directory.

Both listen on unix sockets in `settings.run_dir` only. As root, PostgreSQL drops to the user
`postgres` and Redis, like every worker, to `campus`; the owner role is reached by peer
authentication as root or as the server's own user, the role `app` by a password (scram) kept in
`secret/pgpass`, mode 0600.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

from data.core.binaries import ServerTrouble, find_postgres, find_redis, shared_memory
from data.core.osuser import Account, product_account, server_account
from data.core.process import alive, wait_gone
from data.core.secret import write_secret
from data.core.settings import Settings

POSTGIS_LEAST = (3, 3)
SOCKET_PATH_MOST = 107  # bytes, sun_path of Linux
START_S, STOP_S = 60.0, 2.0


def _own(path: Path, who: Account, mode: int, *, gid: int | None = None) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.getuid() == 0:
        os.chown(path, who.uid, who.gid if gid is None else gid)
    path.chmod(mode)


def _claim_run_dir(path: Path, product: Account, server: Account) -> None:
    """The socket directory, safe in a shared temporary directory: never one that somebody else has made."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        info = path.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid not in {os.getuid(), product.uid}:
            raise ServerTrouble(f"{path} belongs to somebody else: remove it, or choose another DATA_DIR.") from None
    _own(path, product, 0o710 if os.getuid() == 0 else 0o700, gid=server.gid)
    _own(path / "pg", server, 0o750 if os.getuid() == 0 else 0o700, gid=product.gid)


def prepare(settings: Settings) -> None:
    """Make the folders with their owners. Safe to repeat.

    Raises:
        ServerTrouble: the directory cannot be made, or the servers' users cannot enter it.
    """
    product, server = product_account(), server_account()
    longest = settings.run_dir / "pg/.s.PGSQL.5432.lock"
    if len(os.fsencode(longest)) > SOCKET_PATH_MOST:
        raise ServerTrouble(f"{settings.run_dir} is too deep for a unix socket: choose a shorter DATA_DIR.")
    try:
        _own(settings.data_dir, product, 0o711 if os.getuid() == 0 else 0o700)
        for name in ("secret", "redis", "spool", "log"):
            _own(settings.data_dir / name, product, 0o700)
        _claim_run_dir(settings.run_dir, product, server)
    except OSError as err:
        raise ServerTrouble(f"DATA_DIR {settings.data_dir} cannot be used ({err.strerror}): choose another one.") from err
    for who in {product.name: product, server.name: server}.values():
        if who.drop and subprocess.run(["test", "-x", str(settings.data_dir)], check=False, cwd="/", **who.drop).returncode:
            raise ServerTrouble(
                f"The user {who.name} cannot enter {settings.data_dir}, a folder above it is closed: set DATA_DIR=/var/lib/campus."
            )


_SAID = (
    ("No space left on device", "The disk is full: free some space under {data_dir} and start again."),
    ("File too large", "The disk is full or a file limit is reached under {data_dir}: free some space and start again."),
    ("Disk quota exceeded", "The disk quota is used up under {data_dir}: free some space and start again."),
    ("could not access directory", "PostgreSQL's user cannot enter {data_dir}: set DATA_DIR=/var/lib/campus."),
    (
        "incompatible with server",
        "{data_dir}/pg was made by another version of PostgreSQL: install that version, or restore a backup into a new DATA_DIR.",
    ),
    ('lock file "postmaster.pid" already exists', "{data_dir}/pg is in use by another PostgreSQL: stop it, or choose another DATA_DIR."),
)


def _explain(said: str, settings: Settings, otherwise: str) -> ServerTrouble:
    for mark, sentence in _SAID:
        if mark in said:
            return ServerTrouble(sentence.format(data_dir=settings.data_dir))
    return ServerTrouble(otherwise)


def _tail(path: Path, count: int = 4000) -> str:
    try:
        return path.read_bytes()[-count:].decode(errors="replace")
    except FileNotFoundError:
        return ""


class Servers:
    """The two servers of one data directory. `start` and `stop` may be called again and again."""

    def __init__(self, settings: Settings, *, say: Callable[[str], None] = lambda text: None, durable: bool = True) -> None:
        """`durable=False` leaves out fsync: for throw-away tests only."""
        self.settings, self._say, self._durable = settings, say, durable
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def _pg(self) -> Path:
        return self.settings.data_dir / "pg"

    def pid(self, name: str) -> int | None:
        """The process id of `postgres` or `redis` if it runs, ours or one left from a start that was killed."""
        child = self._children.get(name)
        if child is not None:
            return child.pid if child.poll() is None else None
        file = self._pg / "postmaster.pid" if name == "postgres" else self.settings.run_dir / "redis.pid"
        try:
            found = int(file.read_text().split("\n", 1)[0])
            command = Path(f"/proc/{found}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        # A number from before a reboot may be somebody else's now.
        mark = str(self._pg) if name == "postgres" else str(self.settings.run_dir)
        return found if alive(found) and mark.encode() in command else None

    def start(self) -> None:
        """Start what is not running, until both answer.

        Raises:
            ServerTrouble: with the one sentence to show.
        """
        prepare(self.settings)
        if not self.settings.database_url and not self._runs("postgres", self._postgres_answers):
            self._start_postgres()
        if not self.settings.redis_url and not self._runs("redis", self._redis_answers):
            self._start_redis()

    def _runs(self, name: str, answers: Callable[[], bool]) -> bool:
        """Whether it runs and answers; one that is just ending with its killed program is waited for."""
        until = time.monotonic() + START_S
        while self.pid(name) is not None:
            if answers():
                return True
            if time.monotonic() > until:
                raise ServerTrouble(f"{name} runs (process {self.pid(name)}) and does not answer: end it and start again.")
            time.sleep(0.05)
        return False

    def _postgres_answers(self) -> bool:
        try:
            psycopg.connect(self.settings.owner_socket_dsn, dbname="postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _redis_answers(self) -> bool:
        client = redis.Redis(unix_socket_path=str(self.settings.run_dir / "redis.sock"), socket_timeout=2, retry=Retry(NoBackoff(), 0))
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def dead(self) -> list[str]:
        """Names of the servers that should run and do not."""
        wanted = [("postgres", self.settings.database_url), ("redis", self.settings.redis_url)]
        return [name for name, url in wanted if not url and self.pid(name) is None]

    def flush(self) -> None:
        """Write changed pages to disk now, so that a stop soon after is short. No error when the server is away."""
        if self.settings.database_url or self.pid("postgres") is None:
            return
        try:
            with psycopg.connect(self.settings.owner_socket_dsn, connect_timeout=1, autocommit=True) as conn:
                conn.execute("checkpoint")
        except psycopg.OperationalError:
            return

    def stop(self) -> None:
        """Stop both, at once and cleanly; a server that does not obey is killed (its data are safe: both write ahead)."""
        for name, ask in (("redis", signal.SIGTERM), ("postgres", signal.SIGINT)):
            pid = self.pid(name)
            if pid is None:
                continue
            os.kill(pid, ask)
        for name in ("redis", "postgres"):
            pid = self.pid(name)
            if pid is not None and not wait_gone(pid, STOP_S):
                os.kill(pid, signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
                wait_gone(pid, 1.0)
            child = self._children.pop(name, None)
            if child is not None:
                child.wait()
        shutil.rmtree(self.settings.run_dir, ignore_errors=True)

    def _spawn(self, name: str, command: list[str], who: Account, ending: str) -> subprocess.Popen[bytes]:
        log = self.settings.data_dir / "log" / f"{name}.log"
        if log.exists() and log.stat().st_size > 10_000_000:
            log.replace(log.with_suffix(".log.1"))
        # The server ends with the process that started it, even when that is killed: no orphan keeps the data directory.
        setpriv = shutil.which("setpriv", path=os.defpath)
        if setpriv:
            command = [setpriv, "--pdeathsig", ending, *command]
        with log.open("ab") as out:
            # A session of its own: Ctrl-C in the terminal reaches `up`, which then stops the servers in order.
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"},
                **who.drop,
            )
        self._children[name] = child
        return child

    def _initdb(self, bin_dir: Path, who: Account) -> None:
        self._say("making the database cluster")
        if self._pg.exists() and not (self._pg / "PG_VERSION").exists():
            shutil.rmtree(self._pg)  # a first start that was cut short
        _own(self._pg, who, 0o700)
        command = [
            str(bin_dir / "initdb"),
            "-D",
            str(self._pg),
            "-U",
            "campus_owner",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--auth=reject",
            "--data-checksums",
        ]
        if not self._durable:
            command.append("--no-sync")
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            **who.drop,
        )
        if done.returncode:
            shutil.rmtree(self._pg, ignore_errors=True)
            last = (done.stderr.strip().splitlines() or [f"initdb ended with {done.returncode}"])[-1]
            raise _explain(done.stderr, self.settings, f"The database cluster could not be made: {last}.")

    def _write_access(self, who: Account) -> None:
        hba = "local all campus_owner peer map=boot\nlocal all app scram-sha-256\n"
        ident = "".join(f"boot {name} campus_owner\n" for name in dict.fromkeys((who.name, "root")))
        for name, text in (("pg_hba.conf", hba), ("pg_ident.conf", ident)):
            path = self._pg / name
            path.write_text(text)
            path.chmod(0o600)
            if os.getuid() == 0:
                os.chown(path, who.uid, who.gid)

    def _start_postgres(self) -> None:
        who = server_account()
        bin_dir = find_postgres(self.settings.data_dir)
        if not (self._pg / "PG_VERSION").exists():
            self._initdb(bin_dir, who)
        self._write_access(who)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.settings.run_dir / "pg"),
            "port": "5432",
            "dynamic_shared_memory_type": shared_memory(),
            "max_connections": "100",
            "shared_buffers": "128MB",
            "work_mem": "16MB",
            "maintenance_work_mem": "128MB",
            "max_wal_size": "2GB",
            "wal_compression": "on",
            "random_page_cost": "1.1",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "password_encryption": "scram-sha-256",
            "log_min_error_statement": "panic",  # statements may hold personal data; the log must not
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
        }
        command = [str(bin_dir / "postgres"), "-D", str(self._pg)]
        for key, value in options.items():
            command += ["-c", f"{key}={value}"]
        log = self.settings.data_dir / "log/postgres.log"
        before = log.stat().st_size if log.exists() else 0
        child = self._spawn("postgres", command, who, "INT")
        until = time.monotonic() + START_S
        while True:
            try:
                with psycopg.connect(self.settings.owner_socket_dsn, dbname="postgres", connect_timeout=2, autocommit=True) as conn:
                    self._ensure_database(conn)
                    return
            except psycopg.OperationalError as err:
                said = log.read_bytes()[before:].decode(errors="replace")
                if child.poll() is not None:
                    raise _explain(said, self.settings, f"PostgreSQL ended at its start: see {log}.") from err
                if time.monotonic() > until:
                    raise ServerTrouble(f"PostgreSQL did not answer within {START_S:.0f} s: see {log}.") from err
                time.sleep(0.03)

    def _ensure_database(self, conn: psycopg.Connection[tuple[object, ...]]) -> None:
        pgpass = self.settings.secret_dir / "pgpass"
        if not pgpass.exists():
            password = secrets.token_urlsafe(24)
            verifier = conn.pgconn.encrypt_password(password.encode(), b"app", b"scram-sha-256").decode()
            known = conn.execute("select 1 from pg_roles where rolname = 'app'").fetchone()
            verb = sql.SQL("alter" if known else "create")
            conn.execute(
                sql.SQL("{} role app login nosuperuser nocreatedb nocreaterole nobypassrls password {}").format(verb, sql.Literal(verifier))
            )
            write_secret(pgpass, f"*:*:*:app:{password}\n")
        if conn.execute("select 1 from pg_database where datname = 'campus'").fetchone() is None:
            self._say("making the database")
            conn.execute("create database campus owner campus_owner template template0 encoding 'UTF8'")
            conn.execute("revoke all on database campus from public")
            conn.execute("grant connect, temporary on database campus to app")

    def _start_redis(self) -> None:
        who, program = product_account(), find_redis()
        folder = self.settings.data_dir / "redis"
        socket = self.settings.run_dir / "redis.sock"
        command = [
            str(program),
            "--port",
            "0",
            "--unixsocket",
            str(socket),
            "--unixsocketperm",
            "700",
            "--dir",
            str(folder),
            "--daemonize",
            "no",
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--save",
            "",
            "--maxmemory",
            "512mb",
            "--maxmemory-policy",
            "noeviction",
            "--pidfile",
            str(self.settings.run_dir / "redis.pid"),
            "--logfile",
            "",
        ]
        for attempt in (1, 2):
            child = self._spawn("redis", command, who, "TERM")
            if self._redis_comes(child):
                return
            said = _tail(self.settings.data_dir / "log/redis.log")
            if attempt == 2 or "No space left" in said:
                raise _explain(said, self.settings, f"{program.name} did not start: see {self.settings.data_dir / 'log/redis.log'}.")
            # A cut or foreign append-only file: PostgreSQL and the spools hold the truth, so Redis may begin empty.
            self._say(f"setting unreadable {program.name} data aside")
            shutil.rmtree(folder.with_name("redis.unreadable"), ignore_errors=True)
            folder.rename(folder.with_name("redis.unreadable"))
            _own(folder, who, 0o700)

    def _redis_comes(self, child: subprocess.Popen[bytes]) -> bool:
        until = time.monotonic() + START_S
        while child.poll() is None and time.monotonic() < until:
            if self._redis_answers():
                return True
            time.sleep(0.02)
        return False


def postgis_trouble(conn: psycopg.Connection[tuple[object, ...]]) -> str | None:
    """One sentence if the database's PostGIS is missing or too old, else None. `conn` gives rows as tuples."""
    row = conn.execute("select default_version, installed_version from pg_available_extensions where name = 'postgis'").fetchone()
    if row is None:
        return "PostGIS is not installed beside this PostgreSQL: install postgresql-NN-postgis-3 of the same version."
    found = str(row[1] or row[0])
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < POSTGIS_LEAST:
        return f"PostGIS {found} is too old: {POSTGIS_LEAST[0]}.{POSTGIS_LEAST[1]} or newer is needed."
    return None


@contextmanager
def running(settings: Settings, *, durable: bool = True) -> Iterator[Servers]:
    """Both servers for the length of a `with` block."""
    servers = Servers(settings, durable=durable)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
