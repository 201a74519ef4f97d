"""The demo Modbus world: one process that plays every I/O module of the demo city over real Modbus TCP.

Where a module listens: each has a loopback address of its own and all of one installation share one port, as in a
plant where every box has its own address and port 502. Addresses are 127.<a>.<1 + n // 250>.<1 + n % 250>; `a` and the
port follow from the data directory, so two installations on one machine do not meet. The loader of the demo city asks
`address_of(index, data_dir)` for the n-th module and writes what it stored to `modules_file(data_dir)`, a JSON list of
{"code", "school", "host", "port", "profile", "unit"} (the order is the order of `app.py demo press <n>`, n from 1).
The player reads that file only: it never opens the database. The unit is 1.

Profiles to use: `advantech.adam-6050` (12 inputs with counters, outputs 0-5: siren on output 0), `moxa.iologik-e1210`
(16 inputs with counters, no output), `waveshare.modbus-rtu-io-8ch` (level only: panic there needs self_locking=true).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

FIRST_PORT = 15020  # below Linux' range of outgoing ports, which starts at 32768
MODULES_PER_OCTET = 250


def address_of(index: int, data_dir: Path | None = None) -> tuple[str, int]:
    """Where the demo module number `index` (from 0) of the installation in `data_dir` listens.

    Raises:
        ValueError: more modules than the address range holds (62,500).
    """
    if not 0 <= index < MODULES_PER_OCTET * MODULES_PER_OCTET:
        raise ValueError(f"demo module {index}: 0 to {MODULES_PER_OCTET * MODULES_PER_OCTET - 1} have an address")
    mark = hashlib.sha256(str(data_dir.resolve()).encode()).digest() if data_dir else bytes(2)
    high, low = divmod(index, MODULES_PER_OCTET)
    return f"127.{64 + mark[0] % 128}.{1 + high}.{1 + low}", FIRST_PORT + mark[1] % 64


def modules_file(data_dir: Path) -> Path:
    """Where the loader of the demo city lists the modules for the player."""
    return data_dir / "demo" / "modules.json"
