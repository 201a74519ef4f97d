"""How long a start takes, and what the product costs when nothing happens.

`run_cold_s` starts with an installed environment and an empty data directory (cluster, schema, city, history);
installing packages on a bare machine is measured by hand and stands in docs/roadmap.md.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.bench import Bench, product

FIGURES = ("run_cold_s", "run_warm_s", "idle_mem_mb", "idle_core")
SETTLE_S, WATCH_S = 30, 60


def run(bench: Bench) -> None:
    with tempfile.TemporaryDirectory(prefix="campus-start-", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o755)
        folder = Path(scratch) / "data"
        with product(data_dir=folder) as cold:
            bench.line("run_cold_s", cold.ready_s, "s", limit=300, note="without installing packages")
        with product(data_dir=folder) as warm:
            bench.line("run_warm_s", warm.ready_s, "s", limit=8)
            time.sleep(SETTLE_S)
            shares = warm.shares()
            shares.start()
            time.sleep(WATCH_S)
            used = shares.stop()
            used.pop("load", None)
            devices = used.get("devices", 0.0)
            players = used.get("players", 0.0)
            bench.line("idle_mem_mb", warm.memory_mb(), "MB", limit=1536, modules=2600)
            bench.line(
                "idle_core",
                sum(used.values()) - devices - players,
                "core",
                limit=0.15,
                devices=devices,
                devices_limit=0.30,
                players=players,
                shares=used,
                modules=2600,
                poll_ms=2000,
                seconds=WATCH_S,
            )
