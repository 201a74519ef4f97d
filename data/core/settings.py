"""Settings: read once in `app.py`, then passed on. Nothing else reads the environment."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

PREFIX = "CAMPUS_"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
PLAIN = {"PORT": "port", "DATA_DIR": "data_dir", "DEMO": "demo", "HOST": "host", "TLS": "tls", "DEMO_POLL_MS": "demo_poll_ms"}


class BadSetting(ValueError):
    """A setting has a value that cannot be used; the message says which, and what is allowed."""


def default_data_dir(uid: int, home: Path) -> Path:
    """Where data lives when nobody says: root cannot use its own home, PostgreSQL's user could not enter it."""
    return Path("/var/lib/campus") if uid == 0 else home / ".local/share/campus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of every role; docs/reference/settings.md is generated from this class."""

    data_dir: Path = field(metadata={"help": "folder of the database, spools, photos and secrets"})
    host: str = field(default="127.0.0.1", metadata={"help": "address the web listens on; others than loopback need TLS=1"})
    port: int = field(default=8050, metadata={"help": "port the web listens on"})
    tls: bool = field(default=False, metadata={"help": "serve HTTPS with the certificate made by `app.py tls`"})
    demo: bool = field(default=True, metadata={"help": "seed the demo city and start its players; 0 starts empty"})
    demo_poll_ms: int = field(default=2000, metadata={"help": "poll period of the demo modules, 100..60000 ms"})
    demo_quiet: bool = field(default=False, metadata={"help": "the demo's buttons are pressed by people only, no module fails by itself"})
    demo_password: str = field(default="", metadata={"help": "password of the demo accounts; unset: made at first start"})
    database_url: str = field(default="", metadata={"help": "PostgreSQL of the role `app`; unset: the embedded one"})
    owner_url: str = field(default="", metadata={"help": "PostgreSQL of the owner, for `migrate` only; unset: the embedded one"})
    redis_url: str = field(default="", metadata={"help": "Redis or Valkey; unset: the embedded one"})
    secret_file: Path | None = field(default=None, metadata={"help": "file with the master key; unset: made in data_dir/secret"})
    model_dir: Path | None = field(default=None, metadata={"help": "folder with model files and manifest.toml; unset: data_dir/models"})
    web_workers: int = field(default=1, metadata={"help": "web processes that share the port"})
    site_tz: str = field(default="Asia/Shanghai", metadata={"help": "time zone shown on screen"})
    lang: str = field(default="zh", metadata={"help": "language before login, zh or en"})
    city_name_zh: str = field(default="深圳市", metadata={"help": "name of the city, Chinese"})
    city_name_en: str = field(default="Shenzhen", metadata={"help": "name of the city, English"})
    dask: str = field(default="", metadata={"help": "Dask scheduler for scores, tcp://host:port; unset: this machine"})
    candidate_minutes: int = field(default=10, metadata={"help": "an unanswered candidate expires after this many minutes"})
    session_hours: int = field(default=12, metadata={"help": "a login ends after this many hours"})
    replay_spool: bool = field(
        default=True, metadata={"help": "resend the spool when Redis forgot; off only to prove in a test that it is needed"}
    )

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.site_tz)

    @property
    def run_dir(self) -> Path:
        """Short 0700 directory of the unix sockets: a socket path may hold 107 bytes, a data directory may be deeper."""
        mark = hashlib.sha256(str(self.data_dir.resolve()).encode()).hexdigest()[:12]
        return Path("/tmp") / f"campus-{mark}"  # not TMPDIR: root and the workers' user must mean the same folder

    @property
    def app_dsn(self) -> str:
        """libpq string of the role the product runs as (no password in it: data_dir/secret/pgpass holds that)."""
        return self.database_url or f"host={self.run_dir / 'pg'} port=5432 dbname=campus user=app passfile={self.secret_dir / 'pgpass'}"

    @property
    def owner_dsn(self) -> str:
        return self.owner_url or self.owner_socket_dsn

    @property
    def owner_socket_dsn(self) -> str:
        """libpq string of the embedded server's owner: peer authentication, as root or as the server's user only."""
        return f"host={self.run_dir / 'pg'} port=5432 dbname=campus user=campus_owner"

    @property
    def redis(self) -> str:
        return self.redis_url or f"unix://{self.run_dir / 'redis.sock'}"

    @property
    def secret_dir(self) -> Path:
        return self.data_dir / "secret"

    @property
    def master_key_file(self) -> Path:
        return self.secret_file or self.secret_dir / "master.key"

    @property
    def tls_dir(self) -> Path:
        """Holds ca.crt, server.crt and server.key once `app.py tls` has run; ca.key lies in secret_dir."""
        return self.data_dir / "tls"

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK

    @property
    def url(self) -> str:
        """What to open in a browser on this machine."""
        host = self.host if self.host not in ("0.0.0.0", "::") else "127.0.0.1"
        return f"{'https' if self.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def models(self) -> Path:
        return self.model_dir or self.data_dir / "models"

    @property
    def frames_socket(self) -> Path:
        """Where the vision worker serves its newest frames to the web."""
        return self.run_dir / "frames.sock"


_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def _typed(name: str, kind: str, value: Any) -> Any:
    text = str(value).strip()
    if kind == "bool":
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise BadSetting(f"{name}={text}: use 1 or 0")
    if kind == "int":
        try:
            return int(text)
        except ValueError as err:
            raise BadSetting(f"{name}={text}: a whole number is needed") from err
    if "Path" in kind:
        return Path(text).expanduser() if text else None
    return text


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment (`CAMPUS_…`, and the plain names of `./run`), over the TOML file `CAMPUS_CONFIG`.

    Raises:
        BadSetting: a value of the wrong type or out of range, or a config file that is not TOML.
    """
    env = os.environ if environ is None else environ
    kinds = {f.name: str(f.type) for f in fields(Settings)}
    values: dict[str, Any] = {}
    config = env.get(PREFIX + "CONFIG", "")
    if config:
        try:
            table = tomllib.loads(Path(config).read_text())
        except (OSError, tomllib.TOMLDecodeError) as err:
            raise BadSetting(f"{PREFIX}CONFIG={config}: {err}") from err
        for name, value in table.items():
            if name not in kinds:
                raise BadSetting(f"{config}: unknown setting {name}")
            values[name] = _typed(name, kinds[name], int(value) if isinstance(value, bool) else value)
    for plain, name in PLAIN.items():
        if plain in env:
            values[name] = _typed(plain, kinds[name], env[plain])
    for name, kind in kinds.items():
        if PREFIX + name.upper() in env:
            values[name] = _typed(PREFIX + name.upper(), kind, env[PREFIX + name.upper()])
    if not values.get("data_dir"):
        values["data_dir"] = default_data_dir(os.getuid(), Path.home())
    settings = Settings(**values)
    for name, low, high in (
        ("port", 1, 65535),
        ("demo_poll_ms", 100, 60_000),
        ("web_workers", 1, 64),
        ("candidate_minutes", 1, 60),
        ("session_hours", 1, 168),
    ):
        if not low <= getattr(settings, name) <= high:
            raise BadSetting(f"{name}={getattr(settings, name)}: allowed is {low} to {high}")
    if settings.lang not in ("zh", "en"):
        raise BadSetting(f"lang={settings.lang}: zh or en")
    if not settings.is_loopback and not settings.tls:
        raise BadSetting(f"HOST={settings.host} without TLS=1: plain HTTP leaves this machine unprotected; set TLS=1 (see `app.py tls`)")
    return settings
