"""The camera worker: one process holds streams, judges their health, checks faces at gates, and needs neither database nor web.

sources (one thread a camera)   the newest frame of each, in memory
looker (thread)                 health of every camera, faces at gates: the camera whose time has come, newest frame only
control (thread)                signed snapshots and the sealed register from Redis, heartbeat
frames (thread)                 newest frames to the web over a unix socket
sender (thread)                 events from the spool to Redis
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import cv2
import structlog

from data.core import clock, seal, stream
from data.core.desired import Snapshot
from data.core.events import Event, Kind, event_id_of
from data.core.settings import Settings
from data.core.spool import Sender, Spool, SpoolFull
from vision import health, models
from vision.check import Found, GateCheck
from vision.control import Control
from vision.frames import FrameServer
from vision.health import Health, State
from vision.mjpeg import StreamRefused
from vision.picture import sealed
from vision.plan import Plan, plans_of
from vision.register import Keeper
from vision.source import Frame, Source, few_arenas

_LOG = structlog.get_logger(__name__)

SOURCE = "vision-1"
LOST_S = 5.0  # without a new picture a camera is lost
FIRST_S = 15.0
HEALTH_S = 2.0  # gates are looked at more often than their health needs
RETRY_GATES_S = 15.0
RETRY_S = 0.25  # a camera whose next frame is not there yet
COUNT_S = 60.0  # passages are told once a minute
STALL_S = 10.0  # a looker that has not looked for so long is not well
STRETCH_MOST = 16.0
OVERLOADED, CALM = 1.5, 1.1  # times the wanted period; between the two nothing changes
PENDING = 200  # events kept while the disk is full; candidates are not among them


class Watched:
    """One camera the worker holds."""

    def __init__(self, plan: Plan, now_s: float) -> None:
        self.plan = plan
        self.source = Source(plan.camera, plan.url, fps=max(plan.fps, 1.0))
        self.health = Health()
        self.check: GateCheck | None = None
        self.gate_reason = ""  # why a gate that should check does not
        self.next_s, self.health_s, self.good_s, self.count_s = now_s, now_s, now_s, now_s
        self.seen = 0
        self.fps = 0.0
        self._fps_from = (now_s, 0)

    def measure_fps(self, seq: int, now_s: float) -> None:
        """Frames a second the camera sends, over the last 10 s."""
        since_s, since = self._fps_from
        if now_s - since_s >= 10.0 or not self.fps:
            self.fps = round((seq - since) / max(now_s - since_s, 0.1), 1)
            self._fps_from = (now_s, seq)


class Worker:
    """Everything of one vision process; `start` returns at once, `stop` ends within two seconds."""

    def __init__(self, settings: Settings, source: str = SOURCE) -> None:
        self._settings, self.source_name = settings, source
        self._clock = clock.Steady()
        master = seal.master_key(settings.master_key_file)
        self._picture_key = seal.derive(master, "candidate picture")
        self._keeper = Keeper(seal.derive(master, f"register {source}"), source)
        self._spool = Spool(settings.data_dir / "spool" / f"{source}.sqlite", source)
        self._sender = Sender(self._spool, stream.connect(settings.redis), replay=settings.replay_spool)
        cache = settings.data_dir / "spool" / f"{source}.desired"
        self._control = Control(
            stream.connect(settings.redis), source, settings.secret_dir, cache, self._keeper, on_snapshot=self._apply, beat=self._beat
        )
        self._frames = FrameServer(settings.frames_socket, self._newest)
        self._looker = threading.Thread(target=self._look_on, name="looker", daemon=True)
        self._watched: dict[str, Watched] = {}
        self._loaded: dict[str, models.Loaded] = {}
        self._unfit: dict[str, str] = {}
        self._pending: deque[Event] = deque(maxlen=PENDING)
        self._stop = threading.Event()
        self._late: deque[float] = deque(maxlen=500)
        self._stretch = 1.0
        self._is_overloaded = False
        self._looked_s = time.monotonic()
        self._retried_s = time.monotonic()
        self._started = 0

    def start(self) -> None:
        cv2.setNumThreads(1)
        self._say(Kind.WORKER_STARTED, {"spool_set_aside": self._spool.set_aside.name if self._spool.set_aside else ""})
        self._frames.start()
        self._looker.start()
        self._sender.start()
        self._control.start()

    def stop(self) -> None:
        """End all threads; frames and register are gone, events are on disk."""
        self._stop.set()
        self._control.stop()
        self._frames.stop()
        for watched in list(self._watched.values()):
            watched.source.stop()
        self._looker.join(2)
        self._sender.stop()
        self._spool.close()

    # Configuration (control thread)

    def _apply(self, snapshot: Snapshot) -> None:
        """Start, change and stop cameras by the difference; the others are not touched."""
        wanted, self._unfit = plans_of(snapshot.body)
        now_s = time.monotonic()
        for camera, plan in wanted.items():
            held = self._watched.get(camera)
            if held is not None and held.plan == plan:
                continue
            made = Watched(plan, now_s + (self._started % 20) * 0.05)  # spread, so that they do not all fall due together
            self._started += 1
            if plan.gate is not None:
                self._set_gate(made)
            if held is not None:
                held.source.stop()
                made.health = held.health
            made.source.start()
            self._watched = {**self._watched, camera: made}
        for camera in self._watched.keys() - wanted.keys():
            self._watched[camera].source.stop()
        self._watched = {camera: watched for camera, watched in self._watched.items() if camera in wanted}

    def _set_gate(self, watched: Watched) -> None:
        before = watched.gate_reason
        watched.check, watched.gate_reason = self._gate(watched.plan)
        if watched.gate_reason and watched.gate_reason != before:
            _LOG.error("a gate stays off", camera=watched.plan.camera, reason=watched.gate_reason)

    def _retry_gates(self) -> None:
        """Models may be installed while we run."""
        if time.monotonic() - self._retried_s < RETRY_GATES_S:
            return
        self._retried_s = time.monotonic()
        for watched in self._watched.values():
            if watched.gate_reason:
                self._set_gate(watched)

    def _gate(self, plan: Plan) -> tuple[GateCheck | None, str]:
        """The check of a gate, or the reason why there is none: it never runs with another model than the assessed one."""
        gate = plan.gate
        assert gate is not None
        if gate.valid_until <= clock.now():
            return None, "assessment_over"
        try:
            loaded = self._loaded.get(gate.model_sha256) or self._load(gate.model_sha256)
        except models.ModelRefused as err:
            return None, err.reason
        if loaded.pack.is_demo and not plan.demo:
            return None, "demo_pack_refused"
        return GateCheck(plan.camera, gate, loaded), ""

    def _load(self, sha256: str) -> models.Loaded:
        for pack in models.packs(self._settings.models):
            if pack.sha256 == sha256:
                folder = models.ensure_demo(self._settings) if pack.is_demo else self._settings.models
                self._loaded[sha256] = models.load(folder, pack)
                return self._loaded[sha256]
        raise models.ModelMissing(f"no pack has an embedder {sha256[:12]}…")

    # Looking (looker thread)

    def _look_on(self) -> None:
        while not self._stop.is_set():
            self._looked_s = now_s = time.monotonic()
            watched = min(self._watched.values(), key=lambda one: one.next_s, default=None)
            self._flush()
            if watched is None or watched.next_s > now_s:
                self._stop.wait(min(0.2, watched.next_s - now_s) if watched else 0.2)
                continue
            period_s = self._stretch / watched.plan.fps
            if self._look_at(watched, now_s):
                self._judge(now_s - watched.next_s, period_s)
                watched.next_s = max(watched.next_s + period_s, now_s)  # never a debt of frames
            else:
                watched.next_s = now_s + min(period_s, RETRY_S)

    def _look_at(self, watched: Watched, now_s: float) -> bool:
        """Look at a camera's newest frame; False when there is no new one yet."""
        frame = watched.source.newest()
        if now_s - watched.count_s >= COUNT_S:
            watched.count_s = now_s
            self._count(watched)
        if frame is None or frame.seq == watched.seen:
            # A stream of one frame a second takes some seconds to open: only silence after that is news.
            if now_s - watched.good_s > (FIRST_S if watched.source.reason == "starting" else LOST_S):
                self._tell(watched, watched.health.silence(), watched.source.reason or "stalled")
            return False
        watched.seen = frame.seq
        try:
            if now_s >= watched.health_s:
                watched.health_s = now_s + max(HEALTH_S * 0.9, 1 / watched.plan.fps * 0.9)
                watched.measure_fps(frame.seq, now_s)
                state = watched.health.sample(frame.gray(health.WIDTH_PX, health.HEIGHT_PX))
                self._tell(watched, state, "")
            if watched.check is not None:
                now = self._clock.now()
                for found in watched.check.look(frame, self._keeper.current(now), now, now_s):
                    self._propose(watched, found)
        except (StreamRefused, cv2.error) as err:
            watched.source.reason = (
                err.reason if isinstance(err, StreamRefused) else "garbage"
            )  # it sends, but not pictures; silence follows by itself
            return True
        watched.good_s = now_s
        return True

    def _judge(self, late_s: float, period_s: float) -> None:
        """Shed load by looking less often, and say so; a frame that was not looked at is never kept for later."""
        self._late.append(late_s)
        if late_s > period_s:
            self._stretch = min(self._stretch * 1.1, STRETCH_MOST)
        elif late_s < period_s * 0.2:
            self._stretch = max(self._stretch * 0.995, 1.0)
        if not self._is_overloaded and self._stretch > OVERLOADED:
            self._is_overloaded = True
            self._say(Kind.WORKER_OVERLOADED, {"is_over": False, "stretch": round(self._stretch, 2)})
        elif self._is_overloaded and self._stretch < CALM:
            self._is_overloaded = False
            self._say(Kind.WORKER_OVERLOADED, {"is_over": True, "stretch": round(self._stretch, 2)})

    # Saying

    def _tell(self, watched: Watched, state: State | None, reason: str) -> None:
        if state is None:
            return
        data = {"state": state.value, "reason": reason, "fps": watched.fps, "evidence": "stream"}
        self._say(Kind.CAMERA_CHANGED, data, watched.plan)

    def _count(self, watched: Watched) -> None:
        passages = watched.check.take_passages() if watched.check is not None else 0
        if passages:
            self._say(Kind.PASSAGE_COUNTED, {"passages": passages}, watched.plan)

    def _propose(self, watched: Watched, found: Found) -> None:
        """A candidate goes to the spool sealed; when the disk is full it is dropped: it may not wait in the clear."""
        gate = watched.plan.gate
        assert gate is not None
        event_id = event_id_of(self.source_name, watched.plan.camera, found.match.entry_id, found.at.isoformat())
        data = {
            "entry_id": found.match.entry_id,
            "score": round(found.match.score, 4),
            "threshold": gate.threshold,
            "model_sha256": gate.model_sha256,
            "expected_false_per_day": round(found.expected_false_per_day, 4),
            "sealed_picture": sealed(found.picture, self._picture_key, event_id),
        }
        event = self._event(Kind.CANDIDATE_FOUND, event_id, data, watched.plan, found.at)
        try:
            self._spool.append(event)
        except SpoolFull:
            _LOG.error("a candidate was dropped, the disk is full", camera=watched.plan.camera)

    def _event(self, kind: Kind, event_id: str, data: Mapping[str, Any], plan: Plan | None, at: datetime) -> Event:
        subject, is_demo = (plan.camera, plan.demo) if plan else ("", False)
        return Event(event_id=event_id, kind=kind, source=self.source_name, subject=subject, event_at=at, demo=is_demo, data=dict(data))

    def _say(self, kind: Kind, data: Mapping[str, Any], plan: Plan | None = None) -> None:
        at = self._clock.now()
        event_id = event_id_of(self.source_name, kind.value, plan.camera if plan else "", at.isoformat())
        self._pending.append(self._event(kind, event_id, data, plan, at))
        self._flush()

    def _flush(self) -> None:
        """Write what waits; a full disk keeps it waiting, in memory and bounded."""
        while self._pending:
            try:
                self._spool.append(self._pending[0])
            except SpoolFull:
                return
            self._pending.popleft()

    # For others

    def _newest(self, camera: str) -> Frame | None:
        return self._watched[camera].source.newest()

    def _beat(self) -> Mapping[str, Any] | None:
        """For the heartbeat; None when the looker stands still or the sender died, so that the worker shows as down."""
        if time.monotonic() - self._looked_s > STALL_S or not self._sender.is_alive:
            return None
        self._retry_gates()
        held = list(self._watched.values())
        states = Counter(watched.health.state.value if watched.health.state else "unknown" for watched in held)
        late = sorted(self._late)
        now = self._clock.now()
        age_s = self._keeper.age_s(now)
        return {
            "cameras": len(held),
            "states": dict(states),
            "unfit": self._unfit,
            "models": sorted(loaded.pack.name for loaded in self._loaded.values()) or "none",
            "gates": sum(watched.check is not None for watched in held),
            "gates_off": {watched.plan.camera: watched.gate_reason for watched in held if watched.gate_reason},
            "register": len(self._keeper.current(now).entries),
            "register_age_s": None if age_s is None else round(age_s),
            "late_p99_ms": round(late[int(len(late) * 0.99)] * 1000, 1) if late else 0.0,
            "stretch": round(self._stretch, 2),
            "spool_waiting": self._spool.waiting + len(self._pending),
            "overloaded": self._is_overloaded,
        }


def run(settings: Settings) -> int:
    """The role `vision`: until SIGTERM or SIGINT."""
    few_arenas()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    worker = Worker(settings)
    worker.start()
    ended.wait()
    worker.stop()
    return 0
