"""`app.py doctor`: one line for every thing the product needs, and how to get what is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from data.core import migrate, up
from data.core.binaries import ServerTrouble, find_postgres, find_redis, shared_memory
from data.core.embedded import Servers, postgis_trouble
from data.core.osuser import PRODUCT_USER, product_account, server_account
from data.core.settings import Settings

OK, NOTE, MISSING = "ok", "note", "missing"  # a note does not keep the product from running
LOCK = Path(__file__).parents[2] / "requirements.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line: what was looked at, how it is, and the remedy when it is not well."""

    state: str
    thing: str
    detail: str


def _ok(thing: str, detail: str) -> Finding:
    return Finding(state=OK, thing=thing, detail=detail)


def _missing(thing: str, detail: str) -> Finding:
    return Finding(state=MISSING, thing=thing, detail=detail)


def _note(thing: str, detail: str) -> Finding:
    return Finding(state=NOTE, thing=thing, detail=detail)


def _python(settings: Settings) -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return (
        _ok("python", found)
        if sys.version_info >= (3, 11)
        else _missing("python", f"{found} is too old: 3.11 or newer; ./run makes .venv from it")
    )


def locked(lock: Path = LOCK) -> dict[str, str]:
    """Package names and versions of the lock file."""
    pins = (
        line.split(" ")[0].split("==")
        for line in lock.read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    )
    return {name: version.rstrip("\\") for name, version in pins}


def _packages(settings: Settings) -> Finding:
    wrong: list[str] = []
    for name, version in locked().items():
        try:
            if metadata.version(name) != version:
                wrong.append(f"{name} {metadata.version(name)}, locked {version}")
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is not installed")
    if wrong:
        return _missing("packages", f"{len(wrong)} differ from requirements.lock ({'; '.join(wrong[:3])}): run ./run")
    return _ok("packages", f"{len(locked())} as locked")


def _postgres(settings: Settings) -> Finding:
    if settings.database_url:
        return _ok("postgresql", "that of CAMPUS_DATABASE_URL")
    try:
        return _ok("postgresql", str(find_postgres(settings.data_dir)))
    except ServerTrouble as err:
        return _missing("postgresql", str(err))


def _redis(settings: Settings) -> Finding:
    if settings.redis_url:
        return _ok("redis", "that of CAMPUS_REDIS_URL")
    try:
        return _ok("redis", str(find_redis()))
    except ServerTrouble as err:
        return _missing("redis", str(err))


def _ffmpeg(settings: Settings) -> Finding:
    found = shutil.which("ffmpeg")
    return (
        _ok("ffmpeg", found) if found else _missing("ffmpeg", "the demo's streams need it: apt-get install --no-install-recommends ffmpeg")
    )


def _users(settings: Settings) -> Finding:
    try:
        product, server = product_account(), server_account()
    except LookupError as err:
        return _missing("users", f"{err}: start once with ./run as root, or useradd --system campus")
    if os.getuid() == 0 and product.name != PRODUCT_USER:
        return _note("users", f"workers would run as {product.name}: ./run makes the user {PRODUCT_USER}")
    return _ok("users", f"PostgreSQL as {server.name}, the rest as {product.name}")


def _data_dir(settings: Settings) -> Finding:
    place = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    if not os.access(place, os.W_OK):
        return _missing("data dir", f"{place} cannot be written: choose another DATA_DIR")
    free = shutil.disk_usage(place).free
    if free < up.FREE_LEAST_BYTES:
        return _missing("data dir", f"the disk is full, {free // 1_000_000} MB are free under {settings.data_dir}: free some space")
    return _ok("data dir", f"{settings.data_dir}, {free / 1e9:.1f} GB free, shared memory {shared_memory()}")


def _port(settings: Settings) -> Finding:
    here = up.running_instance(settings)
    if here is not None:
        return _ok("instance", f"runs as process {here.get('pid')} on {here.get('url')}")
    try:
        up.bind(settings).close()
    except up.CannotStart as err:
        return _missing("port", str(err))
    return _ok("port", f"{settings.port} on {settings.host} is free; nothing runs")


def _database(settings: Settings) -> Iterator[Finding]:
    if not settings.database_url and Servers(settings).pid("postgres") is None:
        yield _note("database", "not running; ./run starts it")
        return
    try:
        with psycopg.connect(settings.app_dsn, connect_timeout=5) as conn:
            trouble = postgis_trouble(conn)
            found = migrate.version(conn)
            role = conn.execute("select current_user, rolsuper or rolbypassrls from pg_roles where rolname = current_user").fetchone()
    except psycopg.OperationalError as err:
        yield _missing("database", f"{str(err).strip().splitlines()[0]}: check CAMPUS_DATABASE_URL, or start ./run")
        return
    if trouble:
        yield _missing("postgis", trouble)
    if found < migrate.names()[-1]:
        yield _missing("schema", f"{found or 'empty'}, this version needs {migrate.names()[-1]}: run `python app.py migrate`")
    else:
        yield _ok("schema", found)
    if role is not None and role[1]:
        yield _missing("role", f"{role[0]} is a superuser or bypasses row security: give CAMPUS_DATABASE_URL the role app")


def _pipe(settings: Settings) -> Finding:
    if not settings.redis_url and Servers(settings).pid("redis") is None:
        return _note("pipe", "not running; ./run starts it")
    client = redis.Redis.from_url(settings.redis, socket_timeout=5, retry=Retry(NoBackoff(), 0))
    try:
        roles = sorted(key.decode().rpartition(":")[2] for key in client.scan_iter("campus:role:*"))
    except redis.RedisError as err:
        return _missing("pipe", f"{err}: check CAMPUS_REDIS_URL, or start ./run")
    finally:
        client.close()
    return _ok("pipe", f"answers; roles: {' '.join(roles) or 'none supervised'}")


def _tls(settings: Settings) -> Finding:
    if not settings.tls:
        return _ok("tls", "off; the web listens on loopback only")
    made = (settings.tls_dir / "server.crt").exists()
    return _ok("tls", str(settings.tls_dir)) if made else _missing("tls", "no certificate yet: run `python app.py tls`")


def _models(settings: Settings) -> Finding:
    if (settings.models / "manifest.toml").exists():
        return _ok("models", str(settings.models))
    return _note("models", f"none in {settings.models}: faces are not compared; `python app.py models install DIR` adds them")


CHECKS: tuple[Callable[[Settings], Finding | Iterator[Finding]], ...] = (
    _python,
    _packages,
    _postgres,
    _redis,
    _ffmpeg,
    _users,
    _data_dir,
    _port,
    _database,
    _pipe,
    _tls,
    _models,
)


def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order of CHECKS. Starts and changes nothing."""
    found: list[Finding] = []
    for check in CHECKS:
        said = check(settings)
        found.extend([said] if isinstance(said, Finding) else said)
    return found


def main(settings: Settings) -> int:
    """Print the findings; 0 when nothing is missing, else 1."""
    found = examine(settings)
    width = max(len(finding.thing) for finding in found)
    for finding in found:
        print(f"{finding.state:8} {finding.thing:{width}}  {finding.detail}")
    return 1 if any(finding.state == MISSING for finding in found) else 0
