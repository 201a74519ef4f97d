"""`app.py up`: the whole product on one machine, in one terminal.

Order: web socket, lock, servers, schema, demo city, roles. Whatever fails says one sentence and
leaves nothing behind; Ctrl-C or SIGTERM stops everything within five seconds.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

import psycopg

from data.core import db, migrate, queries, session, tls
from data.core.embedded import Servers, ServerTrouble, prepare
from data.core.osuser import product_account
from data.core.process import end_leftover
from data.core.secret import demo_password, keep_demo_password, kept_demo_password
from data.core.settings import Settings
from data.core.supervise import Crew, Role

CODE = Path(__file__).parents[2]
PACKAGES = ("data", "devices", "layers", "mapapp", "vision")
FREE_LEAST_BYTES = 200_000_000
CREW_STOP_S = 2.0
LATER_AFTER_S = 20.0
_SQL = queries.load("setup")


class CannotStart(RuntimeError):
    """The product cannot run here; the message is the one sentence to show."""


def bind(settings: Settings) -> socket.socket:
    """The web's listening socket, before anything else: a busy port must not cost a start-up.

    Raises:
        CannotStart: the port is taken or not ours to use, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except (OSError, socket.gaierror) as err:
        listener.close()
        if err.errno == errno.EADDRINUSE:
            here = running_instance(settings)
            if here is not None and here.get("port") == settings.port:
                raise CannotStart(_runs_here(settings, here)) from err
            raise CannotStart(
                f"Port {settings.port} on {settings.host} is in use by another program: stop it, or choose one with PORT=8051 ./run."
            ) from err
        if err.errno == errno.EACCES:
            raise CannotStart(f"Port {settings.port} needs root: choose one above 1023, for example PORT=8050 ./run.") from err
        raise CannotStart(f"HOST={settings.host} is not an address of this machine ({err.strerror}).") from err
    listener.listen(1024)
    return listener


def socket_of(settings: Settings, words: list[str]) -> int:
    """The file descriptor the web serves: handed over by `up` as `--fd N`, else bound here."""
    if words[:1] == ["--fd"] and len(words) == 2:
        return int(words[1])
    try:
        return bind(settings).detach()
    except CannotStart as err:
        print(err, file=sys.stderr)
        raise SystemExit(2) from err


def _runs_here(settings: Settings, here: dict[str, object]) -> str:
    return (
        f"It already runs: process {here.get('pid')}, {here.get('url')}, data in {settings.data_dir}. "
        "Stop that one, or give DATA_DIR and PORT for a second."
    )


def _lock_path(settings: Settings) -> Path:
    return settings.data_dir / "instance.json"


def running_instance(settings: Settings) -> dict[str, object] | None:
    """Who holds this data directory: {pid, port, url, roles}; None when nobody does."""
    try:
        with _lock_path(settings).open("r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return dict(json.loads(file.read() or "{}"))
    except (FileNotFoundError, PermissionError):
        return None
    return None


@contextmanager
def _locked(settings: Settings) -> Iterator[IO[str]]:
    """Hold the data directory; the lock ends with the process, however that ends."""
    with os.fdopen(os.open(_lock_path(settings), os.O_RDWR | os.O_CREAT, 0o644), "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise CannotStart(_runs_here(settings, dict(json.loads(file.read() or "{}")))) from err
        for pid in dict(json.loads(file.read() or "{}")).get("roles", {}).values():
            end_leftover(int(pid), "app.py")
        try:
            yield file
        finally:
            file.seek(0)
            file.truncate()


def _name(file: IO[str], settings: Settings, roles: dict[str, int]) -> None:
    file.seek(0)
    file.truncate()
    json.dump({"pid": os.getpid(), "port": settings.port, "url": settings.url, "roles": roles}, file)
    file.flush()


class _Said:
    """Progress on the terminal, each line with the seconds since the start."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"[{time.monotonic() - self._begun:6.1f} s] {text}", flush=True)


def _code_for(settings: Settings, say: _Said) -> tuple[Path, Path]:
    """Folder of the code and the interpreter for the workers' user; a copy when it cannot enter the checkout.

    Raises:
        CannotStart: the interpreter cannot be reached by that user either.
    """
    who, python = product_account(), Path(sys.prefix).resolve() / "bin/python"
    if not who.drop:
        return CODE, Path(sys.executable)
    code = CODE

    def may(flag: str, path: Path) -> bool:
        return subprocess.run(["test", flag, str(path)], cwd="/", check=False, **who.drop).returncode == 0

    if not may("-x", python):
        raise CannotStart(f"The user {who.name} cannot use {python}: start with ./run, which puts the environment where it can.")
    if not (may("-r", CODE / "app.py") and may("-r", CODE / "data/core/up.py")):
        code = python.parents[2] / "code"  # beside the environment, which ./run has put where that user can read
        say(f"the user {who.name} cannot read {CODE}; using a copy in {code}")
        shutil.rmtree(code, ignore_errors=True)
        shutil.copytree(CODE, code, ignore=shutil.ignore_patterns(".git", ".venv", "var", "tests", "__pycache__", "bench-out"))
        subprocess.run(["chmod", "-R", "a+rX", str(code)], check=True)
        (settings.data_dir / "compiled").unlink(missing_ok=True)
    _compile(settings, code, python)
    return code, python


def _compile(settings: Settings, code: Path, python: Path) -> None:
    """Byte code for the roles, whose user may not write beside the sources; nothing when no source has changed since."""
    stamp = settings.data_dir / "compiled"
    newest = max(file.stat().st_mtime for package in PACKAGES for file in (code / package).rglob("*.py"))
    if stamp.exists() and stamp.stat().st_mtime > newest and stamp.read_text() == f"{code} {python}":
        return
    subprocess.run([python, "-m", "compileall", "-q", *PACKAGES], cwd=code, check=False)
    stamp.write_text(f"{code} {python}")


def _environment(settings: Settings) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    cache = settings.data_dir / "cache"
    return kept | {
        "CAMPUS_DATA_DIR": str(settings.data_dir),  # the default depends on the user, who changes
        "CAMPUS_PARENT": str(os.getpid()),
        "HOME": str(settings.data_dir),
        "XDG_CACHE_HOME": str(cache),
        "NUMBA_CACHE_DIR": str(cache / "numba"),
        "PYTHONUNBUFFERED": "1",
    }


def _roles(settings: Settings, code: Path, python: Path, fd: int) -> list[Role]:
    def command(*words: str) -> tuple[str, ...]:
        return (str(python), str(code / "app.py"), *words)

    roles = [
        Role(name="ingest", command=command("ingest"), heartbeat="campus:worker:ingest"),
        Role(name="web", command=command("web", "--fd", str(fd)), pass_fds=(fd,), is_web=True),
        Role(name="devices", command=command("devices"), heartbeat="campus:worker:devices-1"),
        Role(name="vision", command=command("vision"), heartbeat="campus:worker:vision-1", nice=5),
    ]
    if settings.demo:
        roles.append(Role(name="players", command=command("players"), nice=5))
    return roles


def _seed(settings: Settings, code: Path, python: Path, env: dict[str, str], say: _Said) -> None:
    with psycopg.connect(settings.app_dsn) as conn:
        if conn.execute(_SQL["city_is_empty"]).fetchone() != (True,):
            return
    say("loading the demo city")
    password = {"CAMPUS_DEMO_PASSWORD": demo_password(settings)}
    loader = subprocess.Popen(
        [python, code / "app.py", "demo", "load"],
        cwd=code,
        env=env | password,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **product_account().drop,
    )
    try:
        if loader.wait():
            full = f"; the disk under {settings.data_dir} is nearly full" if _free(settings) < FREE_LEAST_BYTES else ""
            raise CannotStart(f"The demo city could not be loaded, see above{full}. DEMO=0 ./run starts without it.")
        keep_demo_password(settings, demo_password(settings))
    finally:
        if loader.poll() is None:
            os.killpg(loader.pid, signal.SIGKILL)
            loader.wait()


def _free(settings: Settings) -> int:
    return shutil.disk_usage(settings.data_dir).free


def _demo_logins(settings: Settings) -> list[str]:
    """One login of each demo role; their password is made to agree with CAMPUS_DEMO_PASSWORD when that has changed."""
    with db.connect(settings.app_dsn) as conn, db.scoped(conn, db.CITY):
        logins = [str(row["login"]) for row in conn.execute(_SQL["demo_logins"])]
        wanted = demo_password(settings)
        if logins and wanted != kept_demo_password(settings):
            for login in logins:
                session.set_password(conn, login, wanted)
            keep_demo_password(settings, wanted)
    return logins


def _welcome(settings: Settings) -> str:
    lines = [f"  Campus Safety Map is ready:   {settings.url}", ""]
    logins = _demo_logins(settings) if settings.demo else []
    if logins:
        lines += [
            f"  demo accounts, one per role:  {' '.join(logins)}",
            f"  password of each:             {demo_password(settings)}",
            "  press a panic button:         .venv/bin/python app.py demo press 1",
        ]
    return "\n".join([*lines, "  Ctrl-C stops everything."])


def _stop_asked(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def up(settings: Settings) -> int:
    """Run everything until told to stop. Returns the exit code: 0 after Ctrl-C, 2 when it could not start."""
    say = _Said()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    signal.signal(signal.SIGTERM, _stop_asked)
    signal.signal(signal.SIGINT, _stop_asked)
    try:
        with bind(settings) as listener:
            prepare(settings)
            with _locked(settings) as lock:
                _run(settings, listener, lock, say)
    except (CannotStart, ServerTrouble, tls.NoCertificate) as err:
        print(f"\n{err}", file=sys.stderr, flush=True)
        return 2
    except psycopg.OperationalError as err:
        print(f"\nThe database does not answer: {str(err).strip().splitlines()[0]}", file=sys.stderr, flush=True)
        return 2
    except OSError as err:
        if err.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        print(f"\nThe disk is full: free some space under {settings.data_dir} and start again.", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _run(settings: Settings, listener: socket.socket, lock: IO[str], say: _Said) -> None:
    if _free(settings) < FREE_LEAST_BYTES:
        raise CannotStart(
            f"The disk is full: {_free(settings) // 1_000_000} MB are free under {settings.data_dir}, "
            f"{FREE_LEAST_BYTES // 1_000_000} MB are needed."
        )
    _name(lock, settings, {})
    servers = Servers(settings, say=say)
    crew: Crew | None = None
    try:
        if settings.tls:
            tls.ensure(settings, say=say)
        code, python = _code_for(settings, say)
        say("starting PostgreSQL and Redis")
        servers.start()
        migrate.run(settings, say=say)
        env = _environment(settings)
        if settings.demo:
            _seed(settings, code, python, env, say)
        say("starting the web, the workers and the demo players" if settings.demo else "starting the web and the workers")
        roles = _roles(settings, code, python, listener.fileno())
        crew = Crew(settings, roles, env=env, cwd=code, say=say)
        crew.start("ingest", "web")
        later = [role.name for role in roles if role.name not in ("ingest", "web")]
        _watch(crew, servers, later, name=lambda: _name(lock, settings, crew.pids()), welcome=_welcome(settings), say=say)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _stop(crew, servers, say)


def _watch(crew: Crew, servers: Servers, later: list[str], *, name: Callable[[], None], welcome: str, say: _Said) -> None:
    """Until interrupted. The other roles wait for the web: their imports would slow down the first map."""
    begun, is_open, pause_s, next_try = time.monotonic(), False, 1.0, 0.0
    while True:
        now = time.monotonic()
        if later and (crew.is_up("web") or now - begun > LATER_AFTER_S):
            crew.start(*later)
            later = []
        if not is_open and crew.is_up("web"):
            is_open = True
            say(f"ready\n\n{welcome}\n")
        dead = servers.dead()
        if dead and now >= next_try:
            say(f"{' and '.join(dead)} ended; starting again")
            next_try, pause_s = now + pause_s, min(pause_s * 2, 30.0)
            try:
                servers.start()
            except ServerTrouble as err:
                say(str(err))
        elif not dead and now > next_try + 60:
            pause_s = 1.0
        if crew.tick():
            name()
        time.sleep(0.1)


def _stop(crew: Crew | None, servers: Servers, say: _Said) -> None:
    say("stopping")
    # Written pages go to disk while the roles end, so that PostgreSQL has little left to do.
    flusher = threading.Thread(target=servers.flush, daemon=True)
    flusher.start()
    if crew is not None:
        crew.stop(CREW_STOP_S)
    flusher.join(0.5)
    servers.stop()
    say("stopped")
