"""Child processes of `up`: started as the product's user, watched, restarted, reported, stopped without a rest.

A role counts as up only while it is healthy: the web answers /healthz, a worker's heartbeat is
there. A process that lives and is not healthy is down, and is replaced when that lasts.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from data.core.osuser import product_account
from data.core.process import kill_group
from data.core.settings import Settings

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
STEADY_S = 60.0  # up for so long, a role has its first pause back
GRACE_S = 60.0  # from start to the first sign of health; imports on a busy machine take their time
SICK_S = 20.0  # alive but not healthy for so long: replaced
CHECK_S, REPORT_TTL_S = 2.0, 10
LOG_MOST_BYTES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One kind of process.

    Attributes:
        name: as in `app.py <name>` and `campus:role:<name>`.
        command: program and arguments.
        pass_fds: file descriptors it inherits (the web's socket).
        heartbeat: Redis key that says it is well; "" where there is none.
        is_web: health is asked by HTTP.
        nice: how far it steps back for the others.
    """

    name: str
    command: tuple[str, ...]
    pass_fds: tuple[int, ...] = ()
    heartbeat: str = ""
    is_web: bool = False
    nice: int = 0


@dataclass(slots=True, kw_only=True)
class Child:
    """One running (or waiting) role, changed by the supervisor's loop only, except `is_healthy`."""

    role: Role
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    was_up: bool = False
    is_healthy: bool = False
    healthy_at: float = 0.0
    restarts: int = 0
    pause_s: float = FIRST_PAUSE_S
    due: float = 0.0


class Crew:
    """All roles of one running instance. `start`, `tick` and `stop` belong to the main thread."""

    def __init__(self, settings: Settings, roles: list[Role], *, env: Mapping[str, str], cwd: Path, say: Callable[[str], None]) -> None:
        self._settings, self._env, self._cwd, self._say = settings, dict(env), cwd, say
        self._children = {role.name: Child(role=role) for role in roles}
        self._client: redis.Redis = redis.Redis.from_url(
            settings.redis, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        self._ending = threading.Event()
        self._nurse = threading.Thread(target=self._look_after, name="health", daemon=True)
        self._reported = 0.0

    def start(self, *names: str) -> None:
        """Start these roles now, the others stay as they are."""
        for name in names:
            self._spawn(self._children[name])
        if not self._nurse.is_alive():
            self._nurse.start()

    def is_up(self, name: str) -> bool:
        """Whether the role runs and was healthy at the last look."""
        child = self._children[name]
        return child.process is not None and child.process.poll() is None and child.is_healthy

    def pids(self) -> dict[str, int]:
        """Process ids of what runs now, by role."""
        return {
            name: child.process.pid for name, child in self._children.items() if child.process is not None and child.process.poll() is None
        }

    def _spawn(self, child: Child) -> None:
        role, who = child.role, product_account()
        log = self._settings.data_dir / "log" / f"{role.name}.log"
        with log.open("ab") as out:
            # A session each: Ctrl-C in the terminal reaches only `up`, and killing the group leaves no grandchild.
            child.process = subprocess.Popen(
                [*(("nice", "-n", str(role.nice)) if role.nice else ()), *role.command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self._cwd,
                env=self._env,
                start_new_session=True,
                pass_fds=role.pass_fds,
                **who.drop,
            )
        child.started, child.healthy_at, child.is_healthy = time.monotonic(), 0.0, False

    def tick(self) -> bool:
        """One look at every role; returns whether a process was started or found dead. Call it a few times a second."""
        now, changed = time.monotonic(), False
        for child in self._children.values():
            process = child.process
            if process is None:
                if child.due and now >= child.due:
                    child.restarts += 1
                    self._spawn(child)
                    changed = True
                continue
            code = process.poll()
            if code is not None:
                kill_group(process.pid)
                self._fell(child, now, f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}")
                changed = True
            elif self._is_sick(child, now):
                kill_group(process.pid)
                process.wait()
                self._fell(child, now, "did not answer")
                changed = True
            elif child.healthy_at and now - child.started > STEADY_S:
                child.pause_s = FIRST_PAUSE_S
            if self._shown_up(child) != child.was_up:
                child.was_up, child.since, changed = not child.was_up, datetime.now(UTC), True
        if changed or now - self._reported > REPORT_TTL_S / 3:
            self._report()
            self._reported = now
        return changed

    def _shown_up(self, child: Child) -> bool:
        return child.process is not None and child.is_healthy

    def _is_sick(self, child: Child, now: float) -> bool:
        if child.is_healthy:
            return False
        return now - child.healthy_at > SICK_S if child.healthy_at else now - child.started > GRACE_S

    def _fell(self, child: Child, now: float, how: str) -> None:
        child.process, child.is_healthy = None, False
        child.due = now + child.pause_s
        log = self._settings.data_dir / "log" / f"{child.role.name}.log"
        self._say(f"{child.role.name} {how}; next start in {child.pause_s:.0f} s (see {log})")
        child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)

    def _report(self) -> None:
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for name, child in self._children.items():
                    state = {
                        "role": name,
                        "up": child.was_up,
                        "pid": child.process.pid if child.process else None,
                        "since": child.since.isoformat(),
                        "restarts": child.restarts,
                    }
                    pipe.set(f"campus:role:{name}", json.dumps(state), ex=REPORT_TTL_S)
                pipe.execute()
        except redis.RedisError:
            return  # Redis is being restarted; the next report is 3 s away

    def _look_after(self) -> None:
        rounds = 0
        while not self._ending.wait(0.2 if rounds < 100 else CHECK_S):
            rounds += 1
            for child in self._children.values():
                process = child.process
                if process is None or process.poll() is not None:
                    continue
                is_healthy = self._is_well(child.role)
                if is_healthy is not None and child.process is process:
                    child.is_healthy = is_healthy
                    child.healthy_at = time.monotonic() if is_healthy else child.healthy_at
            if rounds % 30 == 0:
                self._cut_logs()

    def _is_well(self, role: Role) -> bool | None:
        """True or false, or None when it cannot be known (Redis is away: no reason to kill a worker)."""
        if role.is_web:
            return web_answers(self._settings)
        if not role.heartbeat:
            return True
        try:
            return bool(self._client.exists(role.heartbeat))
        except redis.RedisError:
            return None

    def _cut_logs(self) -> None:
        for log in (self._settings.data_dir / "log").glob("*.log"):
            if log.stat().st_size > LOG_MOST_BYTES:
                log.with_suffix(".log.1").write_bytes(log.read_bytes()[-LOG_MOST_BYTES // 4 :])
                os.truncate(log, 0)  # every writer appends, so it goes on at the new end

    def stop(self, seconds: float) -> None:
        """Ask all to end, wait at most `seconds`, then kill what is left with everything it started."""
        self._ending.set()
        running = [child.process for child in self._children.values() if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + seconds
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            kill_group(process.pid)
            process.wait()
        with contextlib.suppress(redis.RedisError):
            self._client.delete(*(f"campus:role:{name}" for name in self._children))
        self._client.close()


def web_answers(settings: Settings, *, timeout_s: float = 2.0) -> bool:
    """Whether GET /healthz gives 200 on this machine."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "localhost") else "::1" if settings.host == "::" else settings.host
    connection: http.client.HTTPConnection
    if settings.tls:
        # This asks our own socket whether the process lives; who it is, the browser checks with the CA.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, settings.port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(host, settings.port, timeout=timeout_s)
    try:
        connection.request("GET", "/healthz", headers={"Host": f"localhost:{settings.port}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
