"""From an event to the rooms: one table, and the transaction that stores and applies together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import psycopg

from data.core import audit, clock, db, events, outbox, queries
from data.core.access import Principal
from data.core.events import Event, Kind
from data.rooms import monitor, response, warning

Handler = Callable[[db.Connection, Event], object]

# What each kind does besides being kept. A kind without a room is history: it is stored and can be read.
HANDLERS: Mapping[Kind, tuple[Handler, ...]] = MappingProxyType(
    {
        Kind.ALARM_RAISED: (response.raise_alarm,),
        Kind.INPUT_RESTORED: (response.restore,),
        Kind.INPUT_CHATTERED: (),
        Kind.DEVICE_LOST: (monitor.change_device,),
        Kind.DEVICE_BACK: (monitor.change_device,),
        Kind.DEVICE_FAULTED: (monitor.change_device,),
        Kind.DEVICE_RESTARTED: (),
        Kind.OUTPUT_CONFIRMED: (monitor.settle_command, response.note_output),
        Kind.OUTPUT_FAILED: (monitor.settle_command, response.note_output),
        Kind.CAMERA_CHANGED: (monitor.change_camera,),
        Kind.CANDIDATE_FOUND: (warning.find_candidate,),
        Kind.PASSAGE_COUNTED: (warning.count_passages,),
        Kind.FIX_RECORDED: (response.record_fix,),
        Kind.WORKER_STARTED: (),
        Kind.WORKER_OVERLOADED: (),
        Kind.CLOCK_STEPPED: (),
        Kind.SPOOL_FILLED: (),
    }
)

# Data of an event that only its handler may see: a face is in the candidate's row, sealed and with an end, never in history.
TRANSIENT: Mapping[Kind, frozenset[str]] = MappingProxyType({Kind.CANDIDATE_FOUND: frozenset({"sealed_picture"})})

# What an event can do wrong. Anything else is ours, or the database's, and is tried again.
POISON = (
    events.MalformedEvent,
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    psycopg.InternalError,
    psycopg.NotSupportedError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
)

_SQL = queries.load("spine")


class NoSuchDeadLetter(LookupError):
    """No dead letter has this number."""

    key = "deadletter.not_there"


@dataclass(frozen=True, slots=True)
class Stored:
    """What came of a batch.

    Attributes:
        new: events that were stored and applied; the rest had been there.
        outbox_seq: the number to wake the web for, 0 for none.
        moved: units as they now stand, for `campus:moved`: positions are a state, they never pass the outbox.
    """

    new: int
    outbox_seq: int
    moved: tuple[db.Row, ...] = ()


def has_transient(event: Event) -> bool:
    """Whether the stream entry of this event must go once it is stored."""
    return not TRANSIENT.get(event.kind, frozenset()).isdisjoint(event.data)


def _row(event: Event) -> dict[str, Any]:
    hidden = TRANSIENT.get(event.kind, frozenset())
    return {
        "event_id": event.event_id,
        "kind": event.kind.value,
        "source": event.source,
        "seq": event.seq,
        "subject": event.subject,
        "channel": event.channel,
        "event_at": clock.iso(event.event_at),
        "uncertainty_ms": event.uncertainty_ms,
        "spooled_at": clock.iso(event.spooled_at),
        "demo": event.demo,
        "data": {key: value for key, value in event.data.items() if key not in hidden},
    }


def store(conn: db.Connection, batch: Sequence[Event]) -> Stored:
    """Store events and let their rooms act, in order, in the caller's transaction; those already stored do nothing.

    Args:
        conn: inside `db.scoped(…, db.CITY)`.
    Raises:
        One of `POISON` for an event that cannot be stored or applied: roll back and take it out of the batch.
    """
    outbox.hold(conn)
    first = {event.event_id: event for event in reversed(batch)}  # the same event twice in one batch is one
    answer = conn.execute(_SQL["insert_events"], {"events": outbox.jsonb([_row(event) for event in first.values()])})
    is_assigned = {row["event_id"]: row["is_assigned"] for row in answer}
    moved: list[db.Row] = []
    for event in batch:
        if event.event_id in is_assigned and first.pop(event.event_id, None) is not None:
            if not is_assigned[event.event_id]:
                _tell_unassigned(conn, event)
            for handle in HANDLERS[event.kind]:
                result = handle(conn, event)
                if event.kind is Kind.FIX_RECORDED and isinstance(result, dict):
                    moved.append(result)
    if not is_assigned:
        return Stored(0, 0)
    told = conn.execute(_SQL["last_outbox"]).fetchone()
    return Stored(len(is_assigned), int(told["seq"] or 0) if told else 0, tuple(moved))


def _tell_unassigned(conn: db.Connection, event: Event) -> None:
    body = {
        "event_id": event.event_id,
        "kind": event.kind.value,
        "subject": event.subject,
        "channel": event.channel,
        "event_at": event.event_at,
    }
    outbox.put(conn, "event.unassigned", "device.view", body)


def bury(conn: db.Connection, stream_name: str, entry_id: str, body: bytes, reason: str) -> int:
    """Keep bytes that cannot be read or applied as a dead letter, once an entry; gives the outbox number, 0 when it was there.

    What only a handler may see is taken out first: a dead letter has no end, a face has.
    """
    outbox.hold(conn)
    values = {"stream": stream_name, "entry_id": entry_id, "body": _without_faces(body), "reason": reason.replace("\x00", "")[:1000]}
    row = conn.execute(_SQL["insert_dead_letter"], values).fetchone()
    return _tell_waiting(conn, row["dead_letter_id"], values["reason"]) if row is not None else 0


def _without_faces(body: bytes) -> bytes:
    names = frozenset[str]().union(*TRANSIENT.values())
    try:
        raw = json.loads(body)
        hidden = names.intersection(raw["data"])
        for name in hidden:
            del raw["data"][name]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = [place for name in names if (place := body.find(name.encode())) >= 0]
        return body[: min(found)] if found else body
    return json.dumps(raw, ensure_ascii=False).encode() if hidden else body


def _tell_waiting(conn: db.Connection, dead_letter_id: int, reason: str) -> int:
    waiting = conn.execute(_SQL["dead_letters_waiting"]).fetchone()
    assert waiting is not None
    body = {"dead_letter_id": dead_letter_id, "reason": reason, "waiting": waiting["waiting"]}
    return outbox.put(conn, "deadletter.changed", "deadletter.view", body)


def dead_letters(conn: db.Connection, limit: int = 200) -> list[db.Row]:
    """Dead letters, those that wait first, each with the first 2,000 characters of what it said."""
    return conn.execute(_SQL["dead_letters"], {"limit": limit}).fetchall()


def unassigned_events(conn: db.Connection, *, days: int = 7, limit: int = 200) -> list[db.Row]:
    """Events of inputs nobody has registered, newest first."""
    return conn.execute(_SQL["unassigned_events"], {"days": days, "limit": limit}).fetchall()


def replay_dead_letter(conn: db.Connection, dead_letter_id: int, principal: Principal) -> str:
    """Try a dead letter once more, for example after an update taught us its kind.

    Args:
        conn: inside `db.scoped(…, db.CITY)`: what the event is about may lie anywhere.
    Returns:
        `stored`, `duplicate` (the event had come another way), or `failed`: then it keeps waiting, with the new reason as its outcome.
    Raises:
        NoSuchDeadLetter.
    """
    outbox.hold(conn)
    letter = conn.execute(_SQL["take_dead_letter"], {"dead_letter_id": dead_letter_id}).fetchone()
    if letter is None:
        raise NoSuchDeadLetter(str(dead_letter_id))
    try:
        with conn.transaction():
            outcome = said = "stored" if store(conn, [events.decode(bytes(letter["body"]))]).new else "duplicate"
    except POISON as err:
        outcome, said = "failed", reason_of(err)
    is_done = outcome != "failed"
    values = {"dead_letter_id": dead_letter_id, "outcome": said, "account_id": principal.account_id, "is_done": is_done}
    conn.execute(_SQL["settle_dead_letter"], values)
    audit.write(conn, principal, "deadletter.replay", f"dead_letter:{dead_letter_id}", data={"outcome": said})
    _tell_waiting(conn, dead_letter_id, said)
    return outcome


def reason_of(err: Exception) -> str:
    """One line that says what was wrong with an event, for the dead-letter table."""
    return f"{type(err).__name__}: {' '.join(str(err).split())}"[:1000]
