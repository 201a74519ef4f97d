"""What happened, as it travels from a device or camera worker to the database.

An event is immutable. Workers write it to their spool, the spool publishes it, and
`data.ingest.consumer` is the only reader. `event_id` is deterministic, so the same press seen
twice (replay, two workers, a crash between write and acknowledgement) is stored once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

MAX_BODY_BYTES = 64 * 1024  # a larger body is malformed: pictures never travel in events
VERSION = 1


class Kind(StrEnum):
    """`<noun>.<past verb>`; the noun says which room handles it (`data.ingest.handlers`)."""

    ALARM_RAISED = "alarm.raised"  # a panic, intrusion or tamper input became active
    INPUT_RESTORED = "input.restored"  # the input went back to normal: a mark, never a close
    INPUT_CHATTERED = "input.chattered"  # a contact flaps; counted, never used for panic
    DEVICE_LOST = "device.lost"  # it does not answer any more; said once
    DEVICE_BACK = "device.back"  # it answers again, or for the first time
    DEVICE_FAULTED = "device.faulted"  # it answers, but not with sense; never an alarm
    DEVICE_RESTARTED = "device.restarted"  # its counter went back
    OUTPUT_CONFIRMED = "output.confirmed"  # a command was written and read back
    OUTPUT_FAILED = "output.failed"  # a command could not be done; the reason says why
    CAMERA_CHANGED = "camera.changed"  # health state of a camera, with the reason
    CANDIDATE_FOUND = "candidate.found"  # the machine's proposal; a person decides
    PASSAGE_COUNTED = "passage.counted"  # faces compared at a gate: a number, nothing else
    FIX_RECORDED = "fix.recorded"  # a position of somebody or something on duty
    WORKER_STARTED = "worker.started"  # a worker began
    WORKER_OVERLOADED = "worker.overloaded"  # it is later than its period allows, or no longer
    CLOCK_STEPPED = "clock.stepped"  # the clock of a worker jumped by more than half a second
    SPOOL_FILLED = "spool.filled"  # the disk is full; polling goes on


PANIC_KINDS = frozenset({Kind.ALARM_RAISED})  # these travel on the stream that is read first


class MalformedEvent(ValueError):
    """The bytes are not an event of a version we know; they go to the dead-letter table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Attributes:
        event_id: 32 hex digits, from `event_id_of`; the key of idempotence.
        source: the worker that saw it, e.g. `devices-1`; one spool per source.
        seq: position in the source's spool, from 1; 0 before it is spooled.
        subject: code of the device or camera, "" for the worker itself.
        channel: input or output of the device, from 0; None where there is none.
        event_at: when it happened, UTC, by the worker's clock.
        uncertainty_ms: how far `event_at` may be off (poll period).
        spooled_at: when it was safe on the worker's disk; None before.
        demo: caused by a demo player.
        data: JSON values only; what they are is said beside each kind in docs/reference/events.md.
    """

    event_id: str
    kind: Kind
    source: str
    subject: str = ""
    channel: int | None = None
    event_at: datetime
    uncertainty_ms: int = 0
    seq: int = 0
    spooled_at: datetime | None = None
    demo: bool = False
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for moment in (self.event_at, self.spooled_at):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("an event's times are timezone-aware")


def event_id_of(*parts: object) -> str:
    """The deterministic id of an event: equal parts give the equal id on every worker."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()[:32]


def encode(event: Event) -> bytes:
    """The event as JSON bytes (UTF-8)."""
    return json.dumps(
        {
            "v": VERSION,
            "event_id": event.event_id,
            "kind": event.kind.value,
            "source": event.source,
            "subject": event.subject,
            "channel": event.channel,
            "event_at": event.event_at.astimezone(UTC).isoformat(),
            "uncertainty_ms": event.uncertainty_ms,
            "seq": event.seq,
            "spooled_at": event.spooled_at and event.spooled_at.astimezone(UTC).isoformat(),
            "demo": event.demo,
            "data": event.data,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise MalformedEvent(f"time without a zone: {value}")
    return moment


def decode(body: bytes) -> Event:
    """Read what `encode` wrote.

    Raises:
        MalformedEvent: not JSON, a field missing or of the wrong type, an unknown kind or version.
    """
    if len(body) > MAX_BODY_BYTES:
        raise MalformedEvent(f"{len(body)} bytes, at most {MAX_BODY_BYTES} are allowed")
    try:
        raw = json.loads(body)
        if raw["v"] != VERSION:
            raise MalformedEvent(f"version {raw['v']}, this side reads {VERSION}")
        event = Event(
            event_id=raw["event_id"],
            kind=Kind(raw["kind"]),
            source=raw["source"],
            subject=raw["subject"],
            channel=raw["channel"],
            event_at=_moment(raw["event_at"]),
            uncertainty_ms=int(raw["uncertainty_ms"]),
            seq=int(raw["seq"]),
            spooled_at=_moment(raw["spooled_at"]) if raw["spooled_at"] else None,
            demo=bool(raw["demo"]),
            data=raw["data"],
        )
    except MalformedEvent:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise MalformedEvent(f"{type(err).__name__}: {err}") from err
    texts = (event.event_id, event.source, event.subject)
    if not all(isinstance(text, str) for text in texts) or not 8 <= len(event.event_id) <= 64:
        raise MalformedEvent("event_id, source and subject must be text, event_id of 8 to 64 characters")
    if not isinstance(event.data, dict) or not isinstance(event.channel, int | None):
        raise MalformedEvent("data must be an object and channel a whole number or null")
    if "\x00" in body.decode(errors="replace") or "\\u0000" in body.decode(errors="replace"):
        raise MalformedEvent("a NUL character cannot be stored")
    return event
