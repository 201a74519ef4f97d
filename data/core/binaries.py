"""The server programs of this machine: where they are, whether they fit, what the machine lacks."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

MAJOR_LEAST = 15
SHM_LEAST_BYTES = 256 * 1024 * 1024  # a container's 64 MB breaks parallel queries


class ServerTrouble(RuntimeError):
    """A server cannot be set up or started; the message is one sentence that says what to do."""


def _share_dir(bin_dir: Path) -> Path | None:
    try:
        said = subprocess.run([bin_dir / "pg_config", "--sharedir"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        major = bin_dir.parent.name
        said = f"/usr/share/postgresql/{major}"
    return Path(said) if Path(said).is_dir() else None


def postgres_folders() -> list[Path]:
    """Folders that hold `initdb` and `postgres`: this environment's own (conda), Debian's newest first, then PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name) if path.parent.name.isdigit() else 0)
    brew = sorted(Path("/opt/homebrew/opt").glob("postgresql@*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    candidates = [Path(sys.prefix) / "bin", *debian, *brew, *([Path(on_path).resolve().parent] if on_path else [])]
    return [path for path in dict.fromkeys(candidates) if (path / "initdb").exists() and (path / "postgres").exists()]


def _major(bin_dir: Path) -> int:
    said = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)(?:\.|beta|rc|devel|\s)", said)
    return int(found.group(1)) if found else 0


def has_postgis(bin_dir: Path) -> bool:
    """Whether the PostGIS extension files belong to this PostgreSQL."""
    share = _share_dir(bin_dir)
    return share is not None and (share / "extension/postgis.control").exists()


def find_postgres(data_dir: Path, folders: list[Path] | None = None) -> Path:
    """The bin folder of a PostgreSQL with PostGIS that can open `data_dir/pg`, or the newest for a new one.

    Raises:
        ServerTrouble: none installed, PostGIS missing, or the data belong to a major version that is not installed.
    """
    with_postgis = [folder for folder in (postgres_folders() if folders is None else folders) if has_postgis(folder)]
    if not with_postgis:
        raise ServerTrouble(
            "No PostgreSQL with PostGIS was found: run ./run, or install postgresql-NN-postgis-3 (NN is 15 on Debian 12, 17 on 13)."
        )
    made_by = data_dir / "pg/PG_VERSION"
    try:
        needed = int(made_by.read_text().strip())
    except FileNotFoundError:
        best = max(with_postgis, key=_major)
        if _major(best) < MAJOR_LEAST:
            raise ServerTrouble(f"PostgreSQL {_major(best)} is too old: {MAJOR_LEAST} or newer is needed.") from None
        return best
    majors = {_major(folder): folder for folder in reversed(with_postgis)}
    if needed not in majors:
        have = ", ".join(str(major) for major in sorted(majors))
        raise ServerTrouble(
            f"{data_dir / 'pg'} was made by PostgreSQL {needed} and this machine has {have}: install postgresql-{needed}-postgis-3, "
            "or restore a backup into a new DATA_DIR."
        )
    return majors[needed]


def find_redis(path: str = os.defpath + ":/usr/local/bin:/opt/homebrew/bin") -> Path:
    """The Valkey or Redis server program; Debian 13 has both names, Debian 12 only the second.

    Raises:
        ServerTrouble: neither is installed.
    """
    for name in ("valkey-server", "redis-server"):
        own = Path(sys.prefix) / "bin" / name
        found = str(own) if own.exists() else shutil.which(name, path=path)
        if found:
            return Path(found)
    raise ServerTrouble("Neither valkey-server nor redis-server was found: run ./run, or install one of them.")


def shared_memory(shm: Path = Path("/dev/shm")) -> str:
    """PostgreSQL's `dynamic_shared_memory_type` for this machine: `mmap` where /dev/shm is missing or small."""
    try:
        space = os.statvfs(shm)
    except OSError:
        return "mmap"
    is_open = bool(shm.stat().st_mode & stat.S_IWOTH)
    return "posix" if is_open and space.f_blocks * space.f_frsize >= SHM_LEAST_BYTES else "mmap"
