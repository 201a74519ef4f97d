"""Early warning: the register and who may write it, gates that may check faces, and candidates that people answer.

The limits are those of docs/reference/privacy.md. An entry does nothing before a second person approved it; what could
recognise somebody is sealed with a key of its own, and destroying the key is the deletion. A candidate triggers nothing
before a named person says yes.

Errors:

    RuleBroken               an act on the register or a gate that a `Rule` does not allow
    CandidateError
    ├── CandidateNotThere    the same answer for "not yours"
    ├── AlreadyAnswered
    ├── CandidateOver
    └── BadAnswer
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from data.core import audit, clock, db, outbox, queries, seal
from data.core.access import Principal
from data.core.db import Row
from data.core.events import Event

GROUNDS = ("court_order", "arrest_warrant", "protection_order", "missing_child")
ADULT_YEARS = 18  # R3; Minors law
CHILD_DAYS = 30  # the longest life of a missing-child entry; our own target, it can be asked for again
MIN_PICTURES = 3  # one photo each costs a fifth of the hits at the same false rate
TEMPLATE_BYTES = 256 * 4  # float32
SITE_CAP = 100  # entries of one school: what the threshold is made for
CITY_WARN, CITY_BLOCK = 50_000, 100_000  # R6
ANSWERS = {"yes": "confirmed", "no": "rejected", "unsure": "unsure"}
WRAPPED_BYTES = 60  # a sealed data key: nonce, 32 bytes, tag
PICTURE_MAX_BYTES = 48 * 1024

_SQL = queries.load("warning")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class Rule(StrEnum):
    """The rules an entry or a gate can break; the value is the key of the sentence for people. R: docs/reference/privacy.md."""

    UNKNOWN_GROUND = "register.unknown_ground"  # R2: not one of the closed list
    DOCUMENT_MISSING = "register.document_missing"  # R1
    ISSUER_MISSING = "register.issuer_missing"  # R1
    PROOF_MISSING = "register.proof_missing"  # R1: the hash of the scanned proof
    INSTRUCTION_MISSING = "register.instruction_missing"  # R1: what the gate staff should do
    NO_SCHOOLS = "register.no_schools"  # R1
    SCHOOL_UNKNOWN = "register.school_unknown"  # not there, or not in the person's scope: the same answer
    TIMES_WRONG = "register.times_wrong"  # start, expiry and end of the order are aware times in this order
    ALREADY_OVER = "register.already_over"
    BEYOND_ORDER = "register.beyond_order"  # R4: the expiry lies after the end of the order
    MINOR = "register.minor"  # R3: nobody under 18, except a missing child
    NOT_A_CHILD = "register.not_a_child"  # R3: a missing-child entry is for somebody under 18
    REQUESTS_MISSING = "register.requests_missing"  # R3: the family's and the police's request
    CHILD_TOO_LONG = "register.child_too_long"
    TOO_FEW_PICTURES = "register.too_few_pictures"
    BAD_TEMPLATE = "register.bad_template"  # R7: 256 finite numbers of a named model
    SCHOOL_FULL = "register.school_full"  # R6
    CITY_FULL = "register.city_full"  # R6: more needs a filing
    SPONSOR_APPROVES = "register.sponsor_approves"  # R1: sponsor and approver are two people
    NOT_PROPOSED = "register.not_proposed"  # R4: an entry is approved once; more time needs a new one
    NOT_LIVING = "register.not_living"  # not there, ended, or not for this person: the same answer
    ASSESSMENT_MISSING = "gate.assessment_missing"  # R11: no such assessment, or no such camera for this person
    ASSESSMENT_OVER = "gate.assessment_over"  # R11: a year old
    ASSESSMENT_OTHER = "gate.assessment_other"  # R11: another threshold, or a demo one for a real gate
    NO_OTHER_WAY = "gate.no_other_way"  # R14: a gate always has a way in without a face


class RuleBroken(ValueError):
    """The rules do not allow it; `rule` says which one, `key` names the sentence for people."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.value)
        self.rule, self.key = rule, rule.value


class CandidateError(Exception):
    """An act on a candidate that is not possible."""

    key: ClassVar[str] = "candidate.error"


class CandidateNotThere(CandidateError, LookupError):
    """No such candidate, or not for this person: the answer is the same."""

    key = "candidate.not_there"


class AlreadyAnswered(CandidateError):
    """Somebody has answered."""

    key = "candidate.already_answered"


class CandidateOver(CandidateError):
    """Nobody answered in time; the pictures are deleted."""

    key = "candidate.over"


class BadAnswer(CandidateError, ValueError):
    """Yes, no or unsure."""

    key = "candidate.bad_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a sponsor says about an entry. No name: who it is stands in the proof, not here."""

    ground: str
    document_number: str
    issuing_body: str
    proof_sha256: str
    starts_at: datetime
    expires_at: datetime
    order_ends_at: datetime
    born_on: date
    instruction: str
    school_ids: frozenset[int]
    exempt_school_ids: frozenset[int] = frozenset()
    family_request: str = ""
    police_request: str = ""
    demo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What the enrolment made: a template of one model, from how many pictures, and one photo to compare by eye."""

    model_sha256: str
    template: bytes = field(repr=False)
    pictures: int
    photo: bytes = field(repr=False)


def _years_before(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:  # 29 February
        return day.replace(year=day.year - years, day=28)


def check(proposal: Proposal, now: datetime) -> None:
    """The rules that need no database. Raises: RuleBroken, the first rule that is broken."""
    if proposal.ground not in GROUNDS:
        raise RuleBroken(Rule.UNKNOWN_GROUND)
    for text, rule in (
        (proposal.document_number, Rule.DOCUMENT_MISSING),
        (proposal.issuing_body, Rule.ISSUER_MISSING),
        (proposal.instruction, Rule.INSTRUCTION_MISSING),
    ):
        if not text.strip():
            raise RuleBroken(rule)
    if not _SHA256.match(proposal.proof_sha256):
        raise RuleBroken(Rule.PROOF_MISSING)
    if not proposal.school_ids - proposal.exempt_school_ids:
        raise RuleBroken(Rule.NO_SCHOOLS)
    times = (proposal.starts_at, proposal.expires_at, proposal.order_ends_at)
    if any(moment.tzinfo is None for moment in times) or proposal.expires_at <= proposal.starts_at:
        raise RuleBroken(Rule.TIMES_WRONG)
    if proposal.expires_at > proposal.order_ends_at:
        raise RuleBroken(Rule.BEYOND_ORDER)
    if proposal.expires_at <= now:
        raise RuleBroken(Rule.ALREADY_OVER)
    is_minor = proposal.born_on > _years_before(now.astimezone(UTC).date(), ADULT_YEARS)
    if proposal.ground != "missing_child":
        if is_minor:
            raise RuleBroken(Rule.MINOR)
        return
    if not is_minor:
        raise RuleBroken(Rule.NOT_A_CHILD)
    if not proposal.family_request.strip() or not proposal.police_request.strip():
        raise RuleBroken(Rule.REQUESTS_MISSING)
    if proposal.expires_at > proposal.starts_at + timedelta(days=CHILD_DAYS):
        raise RuleBroken(Rule.CHILD_TOO_LONG)


def _check_enrolment(enrolment: Enrolment) -> None:
    if enrolment.pictures < MIN_PICTURES or not enrolment.photo:
        raise RuleBroken(Rule.TOO_FEW_PICTURES)
    if len(enrolment.template) != TEMPLATE_BYTES or not _SHA256.match(enrolment.model_sha256):
        raise RuleBroken(Rule.BAD_TEMPLATE)
    numbers = memoryview(enrolment.template).cast("f")
    if not all(math.isfinite(number) for number in numbers) or not any(numbers):
        raise RuleBroken(Rule.BAD_TEMPLATE)


def stored_persons(conn: db.Connection) -> dict[str, Any]:
    """How many persons the city holds templates of, and whether that is to be reported: {"stored", "cap", "is_warning"}."""
    row = conn.execute(_SQL["stored_persons"]).fetchone()
    stored = int(row["stored"]) if row else 0
    return {"stored": stored, "cap": CITY_BLOCK, "is_warning": stored >= CITY_WARN}


def propose(conn: db.Connection, principal: Principal, proposal: Proposal, enrolment: Enrolment, key: bytes) -> int:
    """Put an entry forward; it does nothing until `approve`.

    Args:
        conn: from `db.scoped(…, principal.scope)`.
        key: the master key.
    Returns:
        The entry's id.
    Raises:
        RuleBroken: a rule is broken; nothing was written.
    """
    principal.require("register.sponsor")
    check(proposal, clock.now())
    _check_enrolment(enrolment)
    outbox.hold(conn)
    schools, exempt = sorted(proposal.school_ids), sorted(proposal.exempt_school_ids)
    seen = conn.execute(_SQL["visible_schools"], {"school_ids": sorted({*schools, *exempt})}).fetchone()
    if seen is None or seen["seen"] != len({*schools, *exempt}):
        raise RuleBroken(Rule.SCHOOL_UNKNOWN)
    fullest = conn.execute(_SQL["fullest_school"], {"school_ids": schools}).fetchone()
    if fullest is not None and fullest["entries"] >= SITE_CAP:
        raise RuleBroken(Rule.SCHOOL_FULL)
    if stored_persons(conn)["stored"] >= CITY_BLOCK:
        raise RuleBroken(Rule.CITY_FULL)
    names = (
        "ground", "document_number", "issuing_body", "proof_sha256", "starts_at", "expires_at", "order_ends_at", "born_on",
        "instruction", "family_request", "police_request", "demo",
    )  # fmt: skip
    row = conn.execute(
        _SQL["insert_entry"], {name: getattr(proposal, name) for name in names} | {"sponsor_id": principal.account_id}
    ).fetchone()
    assert row is not None
    entry = int(row["entry_id"])
    conn.execute(_SQL["insert_entry_schools"], {"entry_id": entry, "school_ids": schools, "exempt_ids": exempt})
    data_key = seal.new_key()
    wrapped = seal.seal(seal.derive(key, "register entry"), data_key, f"entry:{entry}")
    conn.execute(_SQL["insert_key"], {"entry_id": entry, "wrapped_key": wrapped})
    sealed = seal.seal(data_key, enrolment.template, f"template:{entry}")
    conn.execute(_SQL["insert_template"], {"entry_id": entry, "model_sha256": enrolment.model_sha256, "sealed": sealed})
    conn.execute(_SQL["insert_photo"], {"entry_id": entry, "sealed": seal.seal(data_key, enrolment.photo, f"photo:{entry}")})
    said = {"ground": proposal.ground, "document_number": proposal.document_number, "schools": schools, "pictures": enrolment.pictures}
    audit.write(conn, principal, "register.proposed", f"register_entry:{entry}", data=said)
    return entry


def _living(conn: db.Connection, entry_id: int) -> Row:
    outbox.hold(conn)
    row = conn.execute(_SQL["lock_entry"], {"entry_id": entry_id}).fetchone()
    if row is None or row["schools"] != row["schools_seen"] or row["state"] not in ("proposed", "active"):
        raise RuleBroken(Rule.NOT_LIVING)
    return row


def approve(conn: db.Connection, principal: Principal, entry_id: int) -> None:
    """A second person says yes. Raises: RuleBroken."""
    principal.require("register.approve")
    row = _living(conn, entry_id)
    if row["state"] != "proposed":
        raise RuleBroken(Rule.NOT_PROPOSED)
    if row["sponsor_id"] == principal.account_id:
        raise RuleBroken(Rule.SPONSOR_APPROVES)
    if row["expires_at"] <= clock.now():
        raise RuleBroken(Rule.ALREADY_OVER)
    conn.execute(_SQL["approve_entry"], {"entry_id": entry_id, "account_id": principal.account_id})
    audit.write(conn, principal, "register.approved", f"register_entry:{entry_id}")


def revoke(
    conn: db.Connection, principal: Principal, entry_id: int, reason: str, *, last_backup_at: datetime | None = None
) -> dict[str, Any]:
    """End an entry now: its key is destroyed, its open candidates lose their pictures.

    Args:
        last_backup_at: the newest backup that still holds ciphertext of it; None where nobody made one or nobody knows.
    Returns:
        The receipt: `entry_id`, `reason`, `key_destroyed_at`, `stores` ({store, left}, one line for each place that was
        checked), `last_backup_at`, `audit_seq`; ready for JSON.
    Raises:
        RuleBroken: NOT_LIVING.
    """
    principal.require("register.sponsor" if principal.may("register.sponsor") else "register.approve")
    _living(conn, entry_id)
    return _end(conn, entry_id, "revoked", principal, reason, last_backup_at)


def expire_entries(conn: db.Connection) -> list[dict[str, Any]]:
    """End every entry whose time is over (R4); gives their receipts. For ingest's timed jobs, in CITY scope."""
    outbox.hold(conn)
    return [_end(conn, row["entry_id"], "expired", None, "", None) for row in conn.execute(_SQL["over_entries"]).fetchall()]


def _end(
    conn: db.Connection, entry_id: int, state: str, principal: Principal | None, reason: str, last_backup_at: datetime | None
) -> dict[str, Any]:
    key = {"entry_id": entry_id}
    ended = conn.execute(_SQL["end_entry"], key | {"state": state, "end_reason": state}).fetchone()
    for statement in ("destroy_key", "delete_templates", "delete_photos"):
        conn.execute(_SQL[statement], key)
    _end_candidates(conn, entry_id)
    left = conn.execute(_SQL["left_of_entry"], key).fetchone()
    assert ended is not None
    assert left is not None
    stores = [{"store": store, "left": count} for store, count in left.items()]
    # Both hold a copy made from the rows above and are made anew from them: when this commits, and every few minutes.
    stores += [{"store": "worker_memory", "left": None}, {"store": "redis_register", "left": None}]
    receipt = {
        "entry_id": entry_id,
        "reason": state,
        "key_destroyed_at": clock.iso(ended["ended_at"]),
        "stores": stores,
        "last_backup_at": clock.iso(last_backup_at),
    }
    receipt["audit_seq"] = audit.write(conn, principal, f"register.{state}", f"register_entry:{entry_id}", reason, receipt)
    return receipt


def entries(conn: db.Connection, *, limit: int = 500) -> list[Row]:
    """The register as its officers see it, newest first: governance only, never a template, a photo or a key."""
    return conn.execute(_SQL["entries"], {"limit": limit}).fetchall()


def gate_configs(conn: db.Connection, worker: str) -> dict[str, Row]:
    """The gates of a worker that may check faces at this moment, by camera code; every other camera of it may not."""
    return {row["camera"]: row for row in conn.execute(_SQL["gate_configs"], {"worker": worker})}


def sealed_register(conn: db.Connection, worker: str, key: bytes) -> bytes:
    """The register a worker may compare with, sealed for it alone, for `campus:register:<worker>`.

    It names no person and no ground. It says when it was made: a worker forgets it when no newer one comes, so an
    old one that somebody puts back does not bring a revoked entry back for long.
    """
    wrapping = seal.derive(key, "register entry")
    found = []
    for row in conn.execute(_SQL["register_of_worker"], {"worker": worker}):
        entry = row["entry_id"]
        data_key = seal.unseal(wrapping, row["wrapped_key"], f"entry:{entry}")
        template = seal.unseal(data_key, row["sealed"], f"template:{entry}")
        found.append({
            "entry_id": entry,
            "schools": row["schools"],
            "cameras": row["cameras"],
            "model_sha256": row["model_sha256"],
            "template": base64.b64encode(template).decode(),
            "until": clock.iso(row["until"]),
        })  # fmt: skip
    body = json.dumps({"made_at": clock.iso(clock.now()), "entries": found}).encode()
    return seal.seal(seal.derive(key, f"register {worker}"), body, f"register:{worker}")


def _number(value: object, low: float, high: float) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    return None


def _picture(value: object) -> tuple[bytes, bytes] | None:
    """Wrapped key and ciphertext of an event's picture; None for something else."""
    if not isinstance(value, str):
        return None
    try:
        packed = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not WRAPPED_BYTES < len(packed) <= PICTURE_MAX_BYTES:
        return None
    return packed[:WRAPPED_BYTES], packed[WRAPPED_BYTES:]


def find_candidate(conn: db.Connection, event: Event) -> int | None:
    """A worker proposes: store it for people to answer.

    What does not fit (no valid gate, an entry that ended meanwhile, a damaged picture) is dropped with a line in the
    audit and never becomes a dead letter: a dead letter would keep the picture.

    Args:
        conn: CITY scope; the event's row is already stored, without the picture. Its setting `campus.candidate_minutes`
            says how long people have, ten minutes where it is not made.
    Returns:
        The candidate's id; None when it was dropped.
    """
    data: Mapping[str, Any] = event.data
    score, threshold = _number(data.get("score"), -1, 1), _number(data.get("threshold"), 0, 1)
    entry_id, model, picture = data.get("entry_id"), data.get("model_sha256"), _picture(data.get("sealed_picture"))
    found = None
    if isinstance(entry_id, int) and isinstance(model, str):
        given = {"camera": event.subject, "entry_id": entry_id, "model_sha256": model, "found_at": event.event_at}
        found = conn.execute(_SQL["gate_of_event"], given).fetchone()
    if found is None or score is None or threshold is None or picture is None:
        return _drop(conn, event, "malformed" if found else "no_valid_gate")
    if not found["is_valid"] or score < threshold or abs(threshold - found["gate_threshold"]) > 1e-6 or found["demo"] != event.demo:
        return _drop(conn, event, "not_valid_now")
    expires_at = event.event_at + timedelta(minutes=found["minutes"])
    is_over = expires_at <= clock.now()  # it waited in a spool too long: history, without a picture
    row = conn.execute(_SQL["insert_candidate"], {
        **{name: found[name] for name in ("camera_id", "school_id", "district_code", "street_code", "demo")},
        "event_id": event.event_id, "entry_id": entry_id, "score": score, "threshold": threshold, "model_sha256": model,
        "expected_false_per_day": _number(data.get("expected_false_per_day"), 0, 1e6), "found_at": event.event_at, "expires_at": expires_at,
        "state": "expired" if is_over else "open", "sealed_picture": None if is_over else picture[1],
    }).fetchone()  # fmt: skip
    if row is None:
        return None
    candidate = int(row["candidate_id"])
    if not is_over:
        conn.execute(_SQL["insert_candidate_key"], {"candidate_id": candidate, "wrapped_key": picture[0]})
    _count(conn, event, passages=0, candidates=1)
    _tell(conn, candidate)
    return candidate


def _drop(conn: db.Connection, event: Event, reason: str) -> None:
    audit.write(conn, None, "candidate.dropped", f"event:{event.event_id}", data={"camera": event.subject, "reason": reason})


def count_passages(conn: db.Connection, event: Event) -> None:
    """Add to a gate's number of the day: how many passages were compared, nothing about anyone."""
    passages = _number(event.data.get("passages"), 1, 1e6)
    if passages is not None:
        _count(conn, event, passages=int(passages), candidates=0)


def _count(conn: db.Connection, event: Event, *, passages: int, candidates: int, tz: str = "Asia/Shanghai") -> None:
    given = {"camera": event.subject, "at": event.event_at, "tz": tz, "passages": passages, "candidates": candidates}
    conn.execute(_SQL["count_passages"], given)


def _plain(row: Row) -> Row:
    return {key: clock.iso(value) if isinstance(value, datetime) else value for key, value in row.items()}


def _tell(conn: db.Connection, candidate_id: int) -> Row:
    row = conn.execute(_SQL["candidate_body"], {"candidate_id": candidate_id}).fetchone()
    assert row is not None
    body = _plain(row)
    outbox.put(
        conn, "candidate.changed", "candidate.view", body, **{name: body[name] for name in ("district_code", "street_code", "school_id")}
    )
    return body


def open_candidates(conn: db.Connection) -> list[Row]:
    """Candidates of the scope that wait for an answer, newest first: bodies ready for JSON, without pictures."""
    return [_plain(row) for row in conn.execute(_SQL["open_candidates"])]


def answer(conn: db.Connection, principal: Principal, candidate_id: int, answer: str) -> Row:
    """A named person says yes, no or unsure. Only a yes raises an alarm; a no deletes the picture now.

    One that is "unsure" can still be answered by somebody else until it is over.

    Returns:
        The candidate's body.
    Raises:
        CandidateNotThere, AlreadyAnswered, CandidateOver, BadAnswer.
    """
    principal.require("candidate.answer")
    if answer not in ANSWERS:
        raise BadAnswer(answer)
    outbox.hold(conn)
    row = conn.execute(_SQL["lock_candidate"], {"candidate_id": candidate_id}).fetchone()
    if row is None:
        raise CandidateNotThere
    if row["state"] not in ("open", "unsure"):
        raise CandidateOver if row["state"] == "expired" else AlreadyAnswered
    if row["is_over"]:
        raise CandidateOver
    if answer == "no":
        _delete_pictures(conn, [candidate_id])
    alarm_id = _raise_alarm(conn, principal, row) if answer == "yes" else None
    said = {"candidate_id": candidate_id, "state": ANSWERS[answer], "account_id": principal.account_id, "alarm_id": alarm_id}
    conn.execute(_SQL["answer_candidate"], said)
    audit.write(conn, principal, "candidate.answered", f"candidate:{candidate_id}", data={"answer": answer, "alarm_id": alarm_id})
    return _tell(conn, candidate_id)


def _raise_alarm(conn: db.Connection, principal: Principal, candidate: Row) -> int:
    row = conn.execute(_SQL["raise_candidate_alarm"], {"candidate_id": candidate["candidate_id"]}).fetchone()
    assert row is not None
    alarm = int(row["alarm_id"])
    said = {"candidate_id": candidate["candidate_id"], "score": candidate["score"], "camera": candidate["camera"]}
    step = {"alarm_id": alarm, "account_id": principal.account_id, "event_id": candidate["event_id"], "data": outbox.jsonb(said)}
    conn.execute(_SQL["add_alarm_step"], step)
    body = _plain(conn.execute(_SQL["alarm_body"], {"alarm_id": alarm}).fetchone() or {})
    outbox.put(conn, "alarm.changed", "alarm.view", body, **{name: body[name] for name in ("district_code", "street_code", "school_id")})
    return alarm


def _delete_pictures(conn: db.Connection, candidate_ids: Sequence[int]) -> None:
    ids = {"candidate_ids": list(candidate_ids)}
    conn.execute(_SQL["delete_candidate_keys"], ids)
    conn.execute(_SQL["drop_candidate_pictures"], ids)


def _end_candidates(conn: db.Connection, entry_id: int | None) -> int:
    rows = conn.execute(_SQL["over_candidates"], {"entry_id": entry_id}).fetchall()
    ids = [row["candidate_id"] for row in rows]
    if ids:
        _delete_pictures(conn, ids)
        conn.execute(_SQL["expire_candidates"], {"candidate_ids": ids})
        for candidate in ids:
            _tell(conn, candidate)
    return len(ids)


def expire_candidates(conn: db.Connection) -> int:
    """End candidates nobody decided in time, delete their pictures and those kept longer than video is; gives how many.

    For ingest's timed jobs, in CITY scope.
    """
    outbox.hold(conn)
    return _end_candidates(conn, None)


def candidate_picture(conn: db.Connection, principal: Principal, candidate_id: int, which: str, key: bytes) -> bytes:
    """JPEG bytes of a candidate: `found` (other faces blurred) or `entry` (the reference photo), to compare by eye.

    Raises:
        CandidateNotThere: no such picture, not for this person, or deleted.
    """
    principal.require("candidate.view")
    row = conn.execute(_SQL["candidate_pictures"], {"candidate_id": candidate_id}).fetchone()
    if row is None or which not in ("entry", "found"):
        raise CandidateNotThere
    try:
        if which == "found":
            data_key = seal.unseal(seal.derive(key, "candidate picture"), row["wrapped_key"] or b"", row["event_id"])
            picture = seal.unseal(data_key, row["sealed_picture"] or b"", row["event_id"])
        else:
            data_key = seal.unseal(seal.derive(key, "register entry"), row["entry_key"] or b"", f"entry:{row['entry_id']}")
            picture = seal.unseal(data_key, row["entry_photo"] or b"", f"photo:{row['entry_id']}")
    except seal.NotOpened as err:
        raise CandidateNotThere from err
    audit.write(conn, principal, "candidate.viewed", f"candidate:{candidate_id}", f"candidate:{candidate_id}", {"which": which})
    return picture


def assess(
    conn: db.Connection, principal: Principal, *, number: str, model_sha256: str, threshold: float, approved_by: str, approved_on: date,
    demo: bool = False,
) -> int:  # fmt: skip
    """Record an impact assessment: one model, one threshold, public safety. Gives its id."""
    principal.require("gate.configure")
    given = {
        "number": number,
        "model_sha256": model_sha256,
        "threshold": threshold,
        "approved_by": approved_by,
        "approved_on": approved_on,
        "demo": demo,
    }
    row = conn.execute(_SQL["insert_assessment"], given).fetchone()
    assert row is not None
    audit.write(conn, principal, "assessment.recorded", f"impact_assessment:{row['assessment_id']}", data={"number": number})
    return int(row["assessment_id"])


def switch_gate(
    conn: db.Connection,
    principal: Principal,
    camera: str,
    *,
    is_on: bool,
    assessment: str = "",
    threshold: float = 0.0,
    other_way_in: str = "",
) -> None:
    """Switch the face check of one gate on or off; on needs a current assessment of this threshold and another way in.

    Raises:
        RuleBroken.
    """
    principal.require("gate.configure")
    outbox.hold(conn)
    row = conn.execute(_SQL["gate_camera"], {"camera": camera}).fetchone()
    named = conn.execute(_SQL["assessment_by_number"], {"number": assessment}).fetchone()
    if row is None or (is_on and named is None):
        raise RuleBroken(Rule.ASSESSMENT_MISSING)
    if is_on and named is not None:
        if not named["is_current"]:
            raise RuleBroken(Rule.ASSESSMENT_OVER)
        if abs(named["threshold"] - threshold) > 1e-6 or (named["demo"] and not row["demo"]):
            raise RuleBroken(Rule.ASSESSMENT_OTHER)
        if not other_way_in.strip():
            raise RuleBroken(Rule.NO_OTHER_WAY)
    given = {"camera_id": row["camera_id"], "is_on": is_on, "account_id": principal.account_id, "other_way_in": other_way_in}
    conn.execute(_SQL["switch_gate"], given | {"assessment_id": named["assessment_id"] if named else None, "threshold": threshold})
    conn.execute(_SQL["mark_gate_camera"], {"camera_id": row["camera_id"], "is_on": is_on})
    audit.write(conn, principal, "gate.switched", f"camera:{camera}", data={"is_on": is_on, "assessment": assessment})


def gates(conn: db.Connection) -> list[Row]:
    """Every gate of the scope that was ever switched, with its passages and candidates of the last 30 days."""
    return conn.execute(_SQL["gates"]).fetchall()
