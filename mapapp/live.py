"""The live stream: one reader per process, every message serialised once, handed to each browser that may see it.

The SSE id is the number in the outbox. A browser that comes back says the last one it has seen and
gets what it missed, from memory or from PostgreSQL; one that was away too long, or comes from
another database, gets a snapshot. Nothing is ever skipped for a slow one: it is cut off and comes
back the same way.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog

from data.core import clock, db, feed, outbox, session
from data.core.access import Principal, Scope
from mapapp.errors import Busy
from mapapp.metrics import Metrics
from mapapp.reader import KEPT, Reader
from mapapp.services import Services
from mapapp.snapshot import roles, snapshot

TICK_S = 5.0
CHECK_TICKS = 3  # sessions are looked at every 15 s; an end is announced at once besides
MAX_WAITING_BYTES = 1024 * 1024  # for one browser; then it is cut off and resumes
MAX_SENDING_S = 30.0  # a peer that takes nothing for so long is gone
MAX_BEHIND = 5000  # messages; further back a snapshot is shorter
MAX_CLIENTS, MAX_PER_ACCOUNT = 2000, 300
TOKEN_STREAM_S = 600.0  # a token's stream ends and has to ask again, so that a revoked one ends too
_LOG = structlog.get_logger(__name__)


def frame(kind: str, body: str, seq: int | None = None) -> bytes:
    """One SSE frame; `body` is JSON, which has no line breaks of its own."""
    head = f"id: {seq}\n" if seq is not None else ""
    return f"{head}event: {kind}\ndata: {body}\n\n".encode()


@dataclass(slots=True, eq=False)
class Client:
    """One open stream. Belongs to the event loop."""

    principal: Principal
    session_hash: bytes
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: deque[tuple[int | None, bytes]] = field(default_factory=deque)
    waiting_bytes: int = 0
    after: int = 0  # messages up to here are not for this client any more
    is_over: bool = False
    sending_since: float | None = None
    opened_at: float = field(default_factory=time.monotonic)
    task: asyncio.Task[Any] | None = None

    @property
    def group(self) -> tuple[frozenset[str], Scope]:
        return self.principal.permissions, self.principal.scope

    def push(self, seq: int | None, data: bytes) -> bool:
        """Queue a frame; False when the client is too slow and was given up."""
        if self.is_over or (seq is not None and seq <= self.after):
            return True
        self.waiting.append((seq, data))
        self.waiting_bytes += len(data)
        self.wake.set()
        if self.waiting_bytes <= MAX_WAITING_BYTES:
            return True
        self.end()
        return False

    def end(self, last: bytes | None = None) -> None:
        """Let the stream end; what waits is dropped, the browser asks for it again."""
        self.waiting.clear()
        self.waiting_bytes = 0
        if last is not None:
            self.waiting.append((None, last))
        self.is_over = True
        self.wake.set()

    def take(self) -> bytes:
        """Everything that waits, in one piece."""
        data = b"".join(data for seq, data in self.waiting if seq is None or seq > self.after)
        self.waiting.clear()
        self.waiting_bytes = 0
        return data


def sees(principal: Principal, entry: feed.Entry) -> bool:
    """Whether a message of the outbox is for this person."""
    return principal.may(entry.requires) and principal.scope.covers(
        district_code=entry.district_code, street_code=entry.street_code, school_id=entry.school_id
    )


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _LOG.error("ticker ended", exc_info=task.exception())


class Hub:
    """All streams of one process. `start` and everything else runs on the event loop; only the reader is a thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._groups: dict[tuple[frozenset[str], Scope], set[Client]] = {}
        self._per_account: dict[int, int] = {}
        self._kept: deque[feed.Entry] = deque(maxlen=KEPT)
        self._frames: dict[int, bytes] = {}
        self._ready = asyncio.Event()
        self._figures: dict[Scope, db.Row] = {}
        self._roles: list[dict[str, Any]] = []
        self._is_closing = False
        self.last_seq = 0
        self.read_at: datetime | None = None
        self._read_monotonic = 0.0
        self._lag_ms = 0.0
        self._services: Services | None = None
        self._reader: Reader | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def services(self) -> Services:
        assert self._services is not None
        return self._services

    @property
    def clients(self) -> Iterable[Client]:
        return [client for group in self._groups.values() for client in group]

    @property
    def count(self) -> int:
        """Open streams."""
        return sum(len(group) for group in self._groups.values())

    def roles(self) -> list[dict[str, Any]]:
        """Which parts of the product are up, as last asked (at most two ticks ago)."""
        return self._roles

    @property
    def is_alive(self) -> bool:
        """Whether reader and ticker still run; without them the process is of no use and has to be replaced."""
        return self._reader is not None and self._reader.is_alive and self._ticker is not None and not self._ticker.done()

    @property
    def age_s(self) -> float:
        """Seconds since the outbox was read successfully; infinite before the first time."""
        return time.monotonic() - self._read_monotonic if self._read_monotonic else float("inf")

    def start(self, services: Services) -> None:
        self._services = services
        loop = asyncio.get_running_loop()

        def on_loop(act: Callable[..., None]) -> Callable[..., None]:
            def hand_over(*values: object) -> None:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(act, *values)

            return hand_over

        self._reader = Reader(services.settings, hand=on_loop(self._publish), moved=on_loop(self._moved), ended=on_loop(self._end_session))
        self._reader.start()
        self._ticker = asyncio.create_task(self._tick_for_ever())
        self._ticker.add_done_callback(_say_why)

    def close_streams(self) -> None:
        """End every stream now and take no new one: the server is going down."""
        self._is_closing = True
        for client in self.clients:
            client.end()

    async def stop(self) -> None:
        self.close_streams()
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        if self._reader is not None:
            await asyncio.to_thread(self._reader.stop)

    # From the reader

    def _publish(self, entries: list[feed.Entry], read_monotonic: float) -> None:
        now = time.monotonic()
        self.read_at, self._read_monotonic = datetime.now(UTC), read_monotonic
        is_first = not self._ready.is_set()
        for entry in entries:
            self.last_seq = entry.seq
            self._keep(entry)
            if is_first:
                continue
            self._lag_ms = max(self._lag_ms, entry.age_ms + (now - read_monotonic) * 1000)
            self._fan_out(entry)
        if not is_first and entries:
            self._metrics.live_events.inc(len(entries))
        self._ready.set()

    def _keep(self, entry: feed.Entry) -> None:
        if len(self._kept) == KEPT:
            self._frames.pop(self._kept[0].seq, None)
        self._kept.append(entry)
        self._frames[entry.seq] = frame(entry.kind, entry.body, entry.seq)

    def _fan_out(self, entry: feed.Entry) -> None:
        data = self._frames[entry.seq]
        for (permissions, scope), clients in self._groups.items():
            if entry.requires not in permissions or not scope.covers(
                district_code=entry.district_code, street_code=entry.street_code, school_id=entry.school_id
            ):
                continue
            self._push_all(clients, entry.seq, data)

    def _push_all(self, clients: Iterable[Client], seq: int | None, data: bytes) -> None:
        for client in clients:
            if not client.push(seq, data):
                self._metrics.live_cut.inc()
                _LOG.info("slow browser cut off", login=client.principal.login)

    def _moved(self, body: dict[str, Any]) -> None:
        data = frame("unit.moved", outbox.dumps(body))
        for (permissions, scope), clients in self._groups.items():
            if "unit.view" in permissions and scope.covers(
                district_code=body.get("district_code"), street_code=body.get("street_code"), school_id=body.get("school_id")
            ):
                self._push_all(clients, None, data)

    def _end_session(self, session_hash: bytes) -> None:
        for client in self.clients:
            if client.session_hash == session_hash:
                client.end(frame("bye", '{"reason":"ended"}'))

    # For the route

    async def join(self, principal: Principal, session_hash: bytes) -> Client:
        """A client that gets everything from now on. Raises: Busy; TimeoutError before the first reading."""
        await asyncio.wait_for(self._ready.wait(), 5.0)
        mine = self._per_account.get(principal.account_id, 0)
        if self._is_closing or mine >= MAX_PER_ACCOUNT or sum(self._per_account.values()) >= MAX_CLIENTS:
            raise Busy
        client = Client(principal=principal, session_hash=session_hash, after=self.last_seq)
        self._groups.setdefault(client.group, set()).add(client)
        self._per_account[principal.account_id] = mine + 1
        self._metrics.live_clients.inc()
        return client

    def leave(self, client: Client) -> None:
        group = self._groups.get(client.group, set())
        if client not in group:
            return
        group.discard(client)
        if not group:
            del self._groups[client.group]
        self._per_account[client.principal.account_id] -= 1
        self._metrics.live_clients.dec()

    async def opening(self, client: Client, last_id: str) -> bytes:
        """What a client gets first: what it missed since `last_id`, else a snapshot.

        Raises: psycopg.OperationalError when PostgreSQL has to be asked and does not answer.
        """
        joined_at = client.after
        if last_id.isascii() and last_id.isdigit() and len(last_id) < 19:
            missed = await self._missed(client, int(last_id), joined_at)
            if missed is not None:
                return missed
        seq, body = await asyncio.to_thread(snapshot, self.services, client.principal)
        body["roles"] = await roles(self.services)
        client.after = max(client.after, seq)
        return frame("snapshot", outbox.dumps(body), seq)

    async def _missed(self, client: Client, last_seq: int, joined_at: int) -> bytes | None:
        """Frames after `last_seq` up to where the client joined; None when they are not all there any more."""
        if last_seq <= joined_at and (last_seq == joined_at or (self._kept and last_seq >= self._kept[0].seq - 1)):
            return b"".join(
                self._frames[entry.seq] for entry in self._kept if last_seq < entry.seq <= joined_at and sees(client.principal, entry)
            )
        first, last = await asyncio.to_thread(self._bounds)
        if last_seq > joined_at:
            # Ahead of this process: another one has told it more. Not known at all: another database.
            client.after = last_seq
            return b"" if last_seq <= last else None
        if last_seq < first - 1 or joined_at - last_seq > MAX_BEHIND:
            return None
        entries = await asyncio.to_thread(self._between, last_seq, joined_at)
        return b"".join(frame(entry.kind, entry.body, entry.seq) for entry in entries if sees(client.principal, entry))

    def _bounds(self) -> tuple[int, int]:
        with self.services.pool.connection() as conn:
            return feed.bounds(conn)

    def _between(self, after: int, through: int) -> list[feed.Entry]:
        with self.services.pool.connection() as conn:
            return [entry for entry in feed.after(conn, after, limit=MAX_BEHIND + 1) if entry.seq <= through]

    # Every five seconds

    async def _tick_for_ever(self) -> None:
        count = 0
        self._roles = await roles(self.services)
        while True:
            await asyncio.sleep(TICK_S)
            count += 1
            self._end_stuck()
            try:
                if count % CHECK_TICKS == 0:
                    await self._check_sessions()
                await self._figure_out()
            except (psycopg.OperationalError, psycopg.InterfaceError) as err:
                _LOG.warning("tick without the database", error=str(err))
            await self._tick()

    async def _tick(self) -> None:
        self._roles = await roles(self.services)
        for (permissions, scope), clients in list(self._groups.items()):
            body = self.tick_body(permissions, scope)
            body["roles"] = self._roles
            self._push_all(list(clients), None, frame("tick", outbox.dumps(body)))
        self._lag_ms = 0.0

    def tick_body(self, permissions: frozenset[str], scope: Scope) -> dict[str, Any]:
        """The status bar of one group of readers; numbers it may not see are null."""
        numbers = dict(self._figures.get(scope, {}))
        if "deadletter.view" not in permissions:
            numbers["dead_letters"] = None
        if "device.view" not in permissions or not scope.is_city:
            numbers["unassigned"] = None
        return {"now": clock.iso(clock.now()), "read_at": clock.iso(self.read_at), "lag_ms": round(self._lag_ms, 1), **numbers}

    async def _figure_out(self) -> None:
        """Fresh numbers for every scope somebody watches; the database is asked once for all of them."""
        watched = {scope for _, scope in self._groups}
        self._figures = await asyncio.to_thread(self._read_figures, watched) if watched else {}

    def _read_figures(self, scopes: set[Scope]) -> dict[Scope, db.Row]:
        with db.scoped(self.services.pool, db.CITY) as conn:
            found = feed.Figures(conn)
        return {scope: found.of(scope) for scope in scopes}

    def _end_stuck(self) -> None:
        now = time.monotonic()
        for client in self.clients:
            if client.sending_since is not None and now - client.sending_since > MAX_SENDING_S and client.task is not None:
                client.task.cancel()
            elif not client.session_hash and now - client.opened_at > TOKEN_STREAM_S:
                client.end()

    async def _check_sessions(self) -> None:
        """End streams whose session is over; those whose rights changed come back with the new ones."""
        hashes = {client.session_hash for client in self.clients if client.session_hash}
        if not hashes:
            return
        alive = await asyncio.to_thread(self._read_sessions, hashes)
        for client in self.clients:
            if client.session_hash not in hashes:
                continue
            now = alive.get(client.session_hash)
            if now is None:
                client.end(frame("bye", '{"reason":"ended"}'))
            elif (now.principal.permissions, now.principal.scope) != client.group:
                client.end()

    def _read_sessions(self, hashes: set[bytes]) -> dict[bytes, session.Session]:
        with db.scoped(self.services.pool, Scope()) as conn:
            return session.find(conn, hashes)
