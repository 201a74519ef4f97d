"""A school with a checked gate, the people of the register, and candidates as a worker would propose them."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql

from data.core import access, db, embedded, events, seal
from data.core.access import Principal, Scope
from data.core.db import Connection, Row
from data.core.settings import Settings
from data.rooms import warning
from tests import builders

MODEL = hashlib.sha256(b"model").hexdigest()
THRESHOLD = 0.55
TODAY = datetime.now(UTC).date()
PICTURE = b"\xff\xd8 a picture of somebody \xff\xd9" * 20


@dataclass
class Gate:
    """One school, one gate camera that may check, and who acts."""

    conn: Connection
    key: bytes
    school: Row
    camera: Row
    sponsor: Principal
    approver: Principal
    dispatcher: Principal
    auditor: Principal

    def proposal(self, **changes: Any) -> warning.Proposal:
        now = datetime.now(UTC)
        return replace(
            warning.Proposal(
                ground="court_order",
                document_number="2026-001",
                issuing_body="District court",
                proof_sha256=hashlib.sha256(b"proof").hexdigest(),
                starts_at=now - timedelta(hours=1),
                expires_at=now + timedelta(days=90),
                order_ends_at=now + timedelta(days=200),
                born_on=date(1980, 5, 1),
                instruction="Ask to wait",
                school_ids=frozenset({self.school["school_id"]}),
            ),
            **changes,
        )

    def child(self, **changes: Any) -> warning.Proposal:
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "ground": "missing_child",
            "born_on": now.date() - timedelta(days=3000),
            "family_request": "F-1",
            "police_request": "P-1",
            "expires_at": now + timedelta(days=7),
        }
        return self.proposal(**(values | changes))

    def enrolment(self, **changes: Any) -> warning.Enrolment:
        template = np.zeros(256, np.float32)
        template[0] = 1
        return replace(
            warning.Enrolment(model_sha256=MODEL, template=template.tobytes(), pictures=3, photo=b"\xff\xd8 photo \xff\xd9"), **changes
        )

    def propose(self, proposal: warning.Proposal | None = None, **changes: Any) -> int:
        return warning.propose(self.conn, self.sponsor, proposal or self.proposal(), self.enrolment(**changes), self.key)

    def entry(self, proposal: warning.Proposal | None = None) -> int:
        """An entry that is in force."""
        made = self.propose(proposal)
        warning.approve(self.conn, self.approver, made)
        return made

    def found(self, for_entry: int, *, at: datetime | None = None, **changes: Any) -> events.Event:
        """A stored event of a worker that proposes this entry."""
        moment = at or datetime.now(UTC)
        event_id = events.event_id_of("vision-1", for_entry, moment.isoformat(), str(changes))
        data_key = seal.new_key()
        packed = seal.seal(seal.derive(self.key, "candidate picture"), data_key, event_id) + seal.seal(data_key, PICTURE, event_id)
        data = {"entry_id": for_entry, "score": 0.8, "threshold": THRESHOLD, "model_sha256": MODEL, "expected_false_per_day": 0.01,
                "sealed_picture": base64.b64encode(packed).decode()} | changes  # fmt: skip
        self.conn.execute(
            "insert into event (event_id, kind, source, seq, subject, event_at) values (%s, 'candidate.found', 'vision-1', 1, %s, %s)",
            (event_id, self.camera["code"], moment),
        )
        return events.Event(
            event_id=event_id, kind=events.Kind.CANDIDATE_FOUND, source="vision-1", subject=self.camera["code"], event_at=moment, data=data
        )

    def candidate(self, entry_id: int | None = None, **changes: Any) -> int:
        made = warning.find_candidate(self.conn, self.found(entry_id or self.entry(), **changes))
        assert made is not None
        return made

    def one(self, query: Any, *values: Any) -> Row:
        row = self.conn.execute(query, values).fetchone()
        assert row is not None
        return row

    @contextmanager
    def seen_by(self, scope: Scope) -> Iterator[None]:
        """Inside, the connection sees what `scope` covers."""
        with db.scoped(self.conn, scope):
            yield
        with db.scoped(self.conn, db.CITY):
            pass


def person(conn: Connection, role: str, scope: Scope = db.CITY) -> Principal:
    """An account of a role, logged in."""
    row = builders.make_account(conn, role, is_city=scope.is_city)
    return Principal(account_id=row["account_id"], login=row["login"], name_zh=row["login"], name_en=row["login"], role=role, scope=scope,
                     permissions=access.ROLES[role])  # fmt: skip


@pytest.fixture(scope="session")
def shared_dsn(settings: Settings, servers: embedded.Servers) -> Iterator[str]:
    """One database for all tests here: each rolls back, and a database of its own costs seconds."""
    name = f"warning{os.getpid()}"
    with psycopg.connect(settings.owner_socket_dsn.replace("dbname=campus", "dbname=postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template campus strategy file_copy").format(sql.Identifier(name)))
        admin.execute(sql.SQL("grant connect, temporary on database {} to app").format(sql.Identifier(name)))
        yield settings.app_dsn.replace("dbname=campus", f"dbname={name}")
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def conn(shared_dsn: str) -> Iterator[Connection]:
    """A transaction in CITY scope that is rolled back."""
    with db.connect(shared_dsn) as opened, db.scoped(opened, db.CITY):
        yield opened
        raise psycopg.Rollback


@pytest.fixture
def gate(conn: Connection) -> Gate:
    school = builders.make_school(conn)
    camera = builders.make_camera(conn, school, worker="vision-1", stream_url="rtsp://127.0.0.1/x")
    made = Gate(conn, seal.new_key(), school, camera, *(person(conn, role) for role in ("registrar", "approver", "dispatcher", "auditor")))
    warning.assess(conn, made.approver, number="PIA-1", model_sha256=MODEL, threshold=THRESHOLD, approved_by="Bureau", approved_on=TODAY)
    warning.switch_gate(
        conn, made.approver, camera["code"], is_on=True, assessment="PIA-1", threshold=THRESHOLD, other_way_in="guard with a visitor book"
    )
    return made
