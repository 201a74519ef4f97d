"""Looking through a camera: who may, for which reason, and the record of it.

WatchError
├── NotThere   no such camera, or not for this person
└── NoReason   nothing is going on there, and nobody said why to look
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from data.core import audit, db, queries
from data.core.access import Principal

RECORD_EVERY_S = 60.0  # one line a minute for a person, a camera and a reason, not one a picture
NEAR_DEG = 0.005  # about 500 m; as far as a neighbour's camera can be of use
LONGEST_REASON = 200

_SQL = queries.load("watch")


class WatchError(Exception):
    """A camera may not be looked through."""


class NotThere(WatchError, LookupError):
    """No such camera, or not for this person: the answer is the same."""


class NoReason(WatchError):
    """There is no open alarm near the camera and no reason was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A camera that may be looked through now.

    Attributes:
        code: its name for the vision worker.
        is_held: whether a vision worker holds its stream; without one there is no picture.
        reason: `alarm:<id>`, `candidate:<id>`, or what the person said.
    """

    camera_id: int
    code: str
    state: str
    is_held: bool
    reason: str


class Record:
    """Writes down who looked where and why; remembers what it has written for a minute. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: dict[tuple[int, int, str], float] = {}

    def is_due(self, principal: Principal, view: View) -> bool:
        """Whether this look has to be written down now; marks it as written."""
        key, now = (principal.account_id, view.camera_id, view.reason), time.monotonic()
        with self._lock:
            if now - self._written.get(key, -RECORD_EVERY_S) < RECORD_EVERY_S:
                return False
            self._written = {known: at for known, at in self._written.items() if now - at < RECORD_EVERY_S}
            self._written[key] = now
            return True


def look(conn: db.Connection, principal: Principal, camera_id: int, *, reason: str, record: Record) -> View:
    """The camera and the reason to look through it; written to the audit chain once a minute.

    Args:
        conn: from `db.scoped(…, principal.scope)`.
        reason: what the person said; not needed while an alarm is open at the camera's school or within 500 m.
    Raises:
        NotThere, NoReason.
    """
    row = conn.execute(_SQL["camera_to_watch"], {"camera_id": camera_id, "near_deg": NEAR_DEG}).fetchone()
    if row is None:
        raise NotThere
    said = " ".join(reason.replace("\x00", "").split())[:LONGEST_REASON]
    if row["alarm_id"] is not None:
        said = f"alarm:{row['alarm_id']}"
    elif row["candidate_id"] is not None:
        said = f"candidate:{row['candidate_id']}"
    elif not said:
        raise NoReason
    view = View(camera_id=camera_id, code=row["code"], state=row["state"], is_held=bool(row["worker"]), reason=said)
    if record.is_due(principal, view):
        audit.write(conn, principal, "camera.watched", f"camera:{camera_id}", reason=said)
    return view
