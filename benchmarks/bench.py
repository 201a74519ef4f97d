"""What every benchmark shares: one line a figure, the raw samples kept, each process's share of the cores beside it."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
OUT = ROOT / "bench-out"
START_S = 300  # the demo city and thirteen weeks of history are loaded first
DEMO_PASSWORD = "bench-pass-2026"


class ProductFailed(RuntimeError):
    """The product did not start; the message holds the end of its output."""


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    """p50 and p99 of the samples, in their own unit."""
    return {"p50": round(float(np.percentile(samples, 50)), 3), "p99": round(float(np.percentile(samples, 99)), 3)}


@dataclass(slots=True)
class Shares:
    """CPU of a tree of processes between two moments, as shares of one core."""

    root: int
    before: dict[int, tuple[str, float]] = field(default_factory=dict)
    started: float = 0.0

    def _now(self) -> dict[int, tuple[str, float]]:
        found: dict[int, tuple[str, float]] = {}
        for process in [psutil.Process(self.root), *psutil.Process(self.root).children(recursive=True), psutil.Process(os.getpid())]:
            try:
                words = process.cmdline()
                times = process.cpu_times()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if process.pid == os.getpid():
                name = "load"
            elif "app.py" in " ".join(words):
                name = next((word for word in words[2:] if not word.startswith("-")), "up")
            else:
                name = Path(words[0].split(":")[0]).name if words else process.name()
            found[process.pid] = (name, times.user + times.system)
        return found

    def start(self) -> None:
        self.before, self.started = self._now(), time.monotonic()

    def stop(self) -> dict[str, float]:
        """Share of one core by role since `start`; a process that began meanwhile counts from its start."""
        length_s = time.monotonic() - self.started
        shares: dict[str, float] = {}
        for pid, (name, seconds) in self._now().items():
            used = seconds - self.before.get(pid, (name, 0.0))[1]
            shares[name] = shares.get(name, 0.0) + used / length_s
        return {name: round(value, 3) for name, value in sorted(shares.items())}


@dataclass(frozen=True, slots=True)
class Product:
    """A running product of its own: address, data directory, pid of `app.py up`."""

    url: str
    data_dir: Path
    pid: int
    ready_s: float
    env: dict[str, str]

    def shares(self) -> Shares:
        return Shares(self.pid)

    def memory_mb(self) -> float:
        """Memory of all its processes: shared pages counted once (PSS)."""
        total = 0
        for process in [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return round(total / 2**20, 1)

    def command(self, *words: str) -> str:
        """Run `app.py <words>` against it and give what it printed."""
        return subprocess.run([sys.executable, "app.py", *words], cwd=ROOT, env=self.env, check=True, capture_output=True, text=True).stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def product(*, poll_ms: int = 2000, is_quiet: bool = True, data_dir: Path | None = None, **settings: str) -> Iterator[Product]:
    """`app.py up` with the demo city on a free port, stopped at the end.

    Args:
        poll_ms: how often the demo modules are polled.
        is_quiet: players cause nothing by themselves.
        data_dir: kept when given, else a new one that is thrown away.
    Raises:
        ProductFailed: it was not ready within `START_S`.
    """
    with tempfile.TemporaryDirectory(prefix="campus-bench-", ignore_cleanup_errors=True) as scratch:
        folder = data_dir or Path(scratch) / "data"
        Path(scratch).chmod(0o755)  # PostgreSQL runs as another user below it
        port = _free_port()
        env = os.environ | {
            "DATA_DIR": str(folder),
            "PORT": str(port),
            "DEMO_POLL_MS": str(poll_ms),
            "CAMPUS_DEMO_PASSWORD": DEMO_PASSWORD,
            "CAMPUS_DEMO_QUIET": "1" if is_quiet else "0",
            **settings,
        }
        began = time.monotonic()
        with (Path(scratch) / "up.log").open("w+") as log:
            child = subprocess.Popen([sys.executable, "app.py", "up"], cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
            url = f"http://127.0.0.1:{port}"
            try:
                while not _is_ready(url):
                    if child.poll() is not None or time.monotonic() - began > START_S:
                        log.seek(0)
                        raise ProductFailed(log.read()[-2000:])
                    time.sleep(0.05)
                yield Product(url, folder, child.pid, time.monotonic() - began, env)
            finally:
                child.send_signal(signal.SIGINT)
                child.wait(timeout=20)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + "/readyz", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


@dataclass(slots=True)
class Bench:
    """Where a benchmark says its figures."""

    said: list[dict[str, Any]] = field(default_factory=list)

    def line(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        samples: Sequence[float] = (),
        limit: float | None = None,
        peer: str = "",
        ratio: float | None = None,
        **more: Any,
    ) -> None:
        """Print one figure as a JSON line and keep its samples in bench-out/.

        Args:
            name: from architecture.md section 7 where it has one.
            value: p99 for times, else the figure itself.
            limit: the guarantee it stands beside.
            peer: what was measured in the same run for comparison; `ratio` is value / peer's value.
        """
        row: dict[str, Any] = {"name": name, "value": round(value, 4), "unit": unit, "n": len(samples) or 1}
        row |= percentiles(samples) if samples else {}
        row |= {"limit": limit} if limit is not None else {}
        row |= {"peer": peer, "ratio": round(ratio, 4)} if ratio is not None else {}
        row |= more | {"load1": round(os.getloadavg()[0], 2), "cores": os.cpu_count()}
        self.said.append(row)
        print(json.dumps(row, ensure_ascii=False), flush=True)
        if samples:
            OUT.mkdir(exist_ok=True)
            (OUT / f"{name}.json").write_text(
                json.dumps({"name": name, "unit": unit, "machine": platform.machine(), "samples": list(samples)})
            )
