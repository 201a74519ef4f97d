"""The gate check of the demo city: one drawn person in the register, two gates that look for them, everything marked demo.

The entry goes through the same rules as a real one: a sponsor proposes, somebody else approves. Model hashes, template and
portrait are constants written by `python -m vision.demo_pack`, because data does not know vision; a test compares them.
"""

from __future__ import annotations

import base64
import hashlib
import tomllib
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

from data.core import access, clock, db, queries, seal
from data.core.access import Principal
from data.core.settings import Settings
from data.rooms import warning

MJPEG_PORT, RTSP_PORT = 15080, 15554  # those of the players, vision/demo.py
THRESHOLD = 0.55
ASSESSMENT = "DEMO-PIA-1"
HERE = Path(__file__).parent
_SQL = queries.load("demo_gate")


def stream_url(code: str, *, name: str = "", scene: str = "", fault: str = "", is_rtsp: bool = False) -> str:
    """The address of a drawn camera of the demo players.

    Args:
        name: ASCII text drawn into the picture; the code when empty.
        scene: yard, gate or hall; "" lets the player choose by the code.
        fault: freeze, dark, blur or gone, which then returns every ten minutes for 75 s.
    """
    base = f"rtsp://127.0.0.1:{RTSP_PORT}" if is_rtsp else f"http://127.0.0.1:{MJPEG_PORT}"
    asked = "&".join(f"{key}={quote(value)}" for key, value in (("scene", scene), ("fault", fault), ("name", name)) if value)
    return f"{base}/cam/{code}" + (f"?{asked}" if asked else "")


def _acting(conn: db.Connection, role: str) -> Principal:
    row = conn.execute(_SQL["demo_account"], {"role": role}).fetchone()
    if row is None:
        raise LookupError(f"the demo city has no account of role {role}")
    return Principal(
        account_id=row["account_id"], login=row["login"], name_zh=row["name_zh"], name_en=row["name_en"], role=role, scope=db.CITY,
        permissions=access.ROLES[role], demo=True,
    )  # fmt: skip


def seed_gate(conn: db.Connection, settings: Settings, camera_codes: Sequence[str]) -> int:
    """Switch the drawn-face check on at these demo cameras and enter the drawn person at their schools.

    Args:
        conn: CITY scope, inside the transaction of the seed; accounts, schools and cameras are there.
        camera_codes: cameras marked demo with a worker; their streams become gate scenes.
    Returns:
        The register entry's id.
    Raises:
        LookupError: a camera or a demo account is not there.
        warning.RuleBroken: a rule of the register is broken.
    """
    kept = tomllib.loads((HERE / "gate.toml").read_text(encoding="utf-8"))
    sponsor, approver = _acting(conn, "registrar"), _acting(conn, "approver")
    rows = conn.execute(_SQL["demo_cameras"], {"codes": list(camera_codes)}).fetchall()
    if len(rows) != len(set(camera_codes)):
        raise LookupError("a gate camera is missing or not marked demo")
    model, now = kept["embedder_sha256"], clock.now()
    warning.assess(
        conn, approver, number=ASSESSMENT, model_sha256=model, threshold=THRESHOLD, approved_by="DEMO", approved_on=now.date(), demo=True
    )
    for row in rows:
        url = stream_url(row["code"], scene="gate", name=row["name_en"])
        conn.execute(_SQL["point_camera_at_gate"], {"camera_id": row["camera_id"], "stream_url": url})
        switch = {"assessment": ASSESSMENT, "threshold": THRESHOLD, "other_way_in": "演示：保安登记 · Demo: guard with a visitor book"}
        warning.switch_gate(conn, approver, row["code"], is_on=True, **switch)
    proposal = warning.Proposal(
        ground="court_order",
        document_number="DEMO-0001",
        issuing_body="DEMO",
        proof_sha256=hashlib.sha256(b"DEMO").hexdigest(),
        starts_at=now - timedelta(minutes=1),
        expires_at=now + timedelta(days=180),
        order_ends_at=now + timedelta(days=365),
        born_on=date(1990, 1, 1),
        instruction="演示：请来访者稍候，通知值班民警 · Demo: ask the visitor to wait, call the duty officer",
        school_ids=frozenset(row["school_id"] for row in rows),
        demo=True,
    )
    template, photo = base64.b64decode(kept["template_f32"]), (HERE / "gate_face.jpg").read_bytes()
    enrolment = warning.Enrolment(model_sha256=model, template=template, pictures=warning.MIN_PICTURES, photo=photo)
    entry = warning.propose(conn, sponsor, proposal, enrolment, seal.master_key(settings.master_key_file))
    warning.approve(conn, approver, entry)
    return entry
