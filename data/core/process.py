"""Operating system processes: whether one lives, who ends with whom. Imports nothing, every role uses it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def follow_parent(parent_pid: int) -> None:
    """End this process when the one that started it ends, even by kill -9. Linux only, elsewhere without effect."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    except AttributeError:
        return
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not collected does not count."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_gone(pid: int, seconds: float) -> bool:
    """Wait at most `seconds` for a process that need not be our child; whether it is gone."""
    until = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def kill_group(leader_pid: int) -> None:
    """Kill a process group, leader and all it started; nothing to do when it is gone."""
    try:
        os.killpg(leader_pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def end_leftover(leader_pid: int, mark: str) -> bool:
    """Kill a process group of a start that was itself killed; only if its command still carries `mark`."""
    try:
        command = Path(f"/proc/{leader_pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    if not alive(leader_pid) or mark.encode() not in command:
        return False
    kill_group(leader_pid)
    return True
