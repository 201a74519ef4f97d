"""From the site's word for a module (desired snapshot) and its profile to what is polled; unsafe wiring is refused here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devices.link import Read
from devices.profile import Profile

ZONES = ("panic", "contact", "tamper")
OUTPUT_ZONES = ("siren", "strobe", "lock")
FASTEST_MS, SLOWEST_MS = 100, 60_000
SUPPORTED = ("tcp", "rtu-over-tcp", "rtu-dial-in")  # a serial line needs a gateway, which speaks rtu-over-tcp


class Unfit(ValueError):
    """This module must not be polled as configured; `reason` is the code of the fault, `detail` the place."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} {detail}".strip())
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input in use."""

    channel: int
    zone: str
    is_nc: bool  # normally closed: the input is 1 at rest, a cut wire is an alarm
    debounce_s: float
    capture: str
    mode: str  # live, or test: recorded as such, alarms nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output in use."""

    channel: int
    zone: str
    max_on_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one module's task does. Equal plans mean that nothing changed.

    Attributes:
        counter, latch: requests of every cycle, None where no input is captured that way.
        level: request for the inputs' momentary levels; of every cycle where `is_level_evidence`, else only after a press.
    """

    device: str
    is_demo: bool
    profile: Profile
    transport: str
    host: str
    port: int
    unit: int
    period_s: float
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    counter: Read | None
    latch: Read | None
    level: Read | None
    is_level_evidence: bool

    @property
    def timeout_s(self) -> float:
        """How long an answer may take: three of them and a poll fit into the 3 s in which a dead module is reported."""
        return {"tcp": 0.5, "rtu-over-tcp": 0.7, "rtu-dial-in": 2.0}[self.transport]  # the last is a mobile line


def _whole(raw: Mapping[str, Any], key: str, low: int, high: int, default: int | None = None) -> int:
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Unfit("malformed", key)
    return value


def _input(raw: Mapping[str, Any], profile: Profile) -> Input:
    channel = _whole(raw, "channel", 0, 65535)
    if channel >= profile.input_count:
        raise Unfit("channel_unknown", f"in {channel}")
    zone, polarity, mode = raw.get("zone"), raw.get("polarity", "no"), raw.get("mode", "live")
    capture = profile.capture_for(raw.get("capture") or None)
    if zone not in ZONES or polarity not in ("no", "nc") or mode not in ("live", "test"):
        raise Unfit("malformed", f"in {channel}")
    if capture not in profile.captures:
        raise Unfit("capture_unknown", f"in {channel}")
    is_nc = polarity == "nc"
    if capture == "latch" and is_nc:
        raise Unfit("latch_nc", f"in {channel}")  # the latch would catch the release, not the press
    if zone == "panic" and profile.checked == "none":
        raise Unfit("profile_unchecked", f"in {channel}")
    if zone == "panic" and capture == "level" and not raw.get("self_locking", False):
        # A short press falls between two polls (2 of 40 seen at 30 ms and 500 ms). GB 50394-2007 5.2.3: self-locking.
        raise Unfit("level_panic", f"in {channel}")
    debounce_ms = _whole(raw, "debounce_ms", 0, 5000, 0)
    return Input(channel=channel, zone=zone, is_nc=is_nc, debounce_s=debounce_ms / 1000, capture=capture, mode=mode)


def _output(raw: Mapping[str, Any], profile: Profile) -> Output:
    channel = _whole(raw, "channel", 0, 65535)
    if channel >= profile.output_count:
        raise Unfit("channel_unknown", f"out {channel}")
    zone = raw.get("zone")
    if zone not in OUTPUT_ZONES:
        raise Unfit("malformed", f"out {channel}")
    return Output(channel=channel, zone=zone, max_on_s=float(_whole(raw, "max_on_s", 1, 3600, 180)))


def plan_of(raw: Mapping[str, Any], profiles: Mapping[str, Profile]) -> Plan:
    """The plan of one module of a snapshot.

    Raises:
        Unfit: an unknown profile or channel, a value of the wrong type, or wiring that would miss a press.
    """
    device = raw.get("device")
    if not isinstance(device, str) or not device:
        raise Unfit("malformed", "device")
    profile = profiles.get(str(raw.get("profile")))
    if profile is None:
        raise Unfit("profile_unknown", str(raw.get("profile")))
    transport = raw.get("transport", "tcp")
    if transport not in SUPPORTED or transport not in profile.transports:
        raise Unfit("transport_unknown", str(transport))
    host, rows_in, rows_out = raw.get("host"), raw.get("inputs", []), raw.get("outputs", [])
    if not isinstance(host, str) or not host or not isinstance(rows_in, list) or not isinstance(rows_out, list):
        raise Unfit("malformed", "host, inputs or outputs")
    if not all(isinstance(row, dict) for row in [*rows_in, *rows_out]):
        raise Unfit("malformed", "inputs or outputs")
    inputs = tuple(sorted((_input(row, profile) for row in rows_in), key=lambda i: i.channel))
    outputs = tuple(sorted((_output(row, profile) for row in rows_out), key=lambda o: o.channel))
    if len({i.channel for i in inputs}) != len(inputs) or len({o.channel for o in outputs}) != len(outputs):
        raise Unfit("malformed", "a channel is there twice")
    by_capture = {capture: [i.channel for i in inputs if i.capture == capture] for capture in ("counter", "latch", "level")}
    channels = [i.channel for i in inputs]
    return Plan(
        device=device,
        is_demo=bool(raw.get("demo", False)),
        profile=profile,
        transport=transport,
        host=host,
        port=_whole(raw, "port", 1, 65535),
        unit=_whole(raw, "unit", 1, 255, profile.unit),
        period_s=_whole(raw, "poll_ms", FASTEST_MS, SLOWEST_MS, 500) / 1000,
        inputs=inputs,
        outputs=outputs,
        counter=profile.counter.narrowed(by_capture["counter"]) if profile.counter and by_capture["counter"] else None,
        latch=profile.latch.narrowed(by_capture["latch"]) if profile.latch and by_capture["latch"] else None,
        level=profile.level.narrowed(channels) if profile.level and channels else None,
        # A counter of rising edges counts a normally closed button when it is let go: its press is seen in the level.
        is_level_evidence=bool(by_capture["level"]) or any(i.is_nc for i in inputs),
    )
