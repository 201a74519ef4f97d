"""Open files: one per module is more than the usual limit of 1,024."""

from __future__ import annotations

import resource


def raise_file_limit() -> int:
    """Lift the limit of open files to what this user may have; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
