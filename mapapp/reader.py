"""The one reader of the outbox in a web process: a thread that waits for Redis to say "now" and looks once a second anyway."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import redis
import structlog
from redis.client import PubSub

from data.core import db, feed, outbox, session, stream
from data.core.settings import Settings

POLL_S = 1.0  # how long a message can be late when Redis is away
LISTEN_S = 0.25  # how long a stop may take
KEPT = 2000  # messages a browser that comes back gets from memory
BATCH = 1000
MOVED = "campus:moved"
_LOG = structlog.get_logger(__name__)

Row = dict[str, Any]


class Reader:
    """Reads the outbox in order and hands on what is new, from a thread of its own.

    Args:
        hand: gets (messages, time.monotonic() of the reading); the first call has the newest kept ones.
        moved: gets a position as `campus:moved` carries it.
        ended: gets the hash of a session that ended.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        hand: Callable[[list[feed.Entry], float], None],
        moved: Callable[[Row], None],
        ended: Callable[[bytes], None],
    ) -> None:
        self._settings, self._hand, self._moved, self._ended = settings, hand, moved, ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox-reader", daemon=True)
        self._last_seq: int | None = None
        self._conn: db.Connection | None = None
        self._redis: redis.Redis = stream.connect(settings.redis)
        self._heard: PubSub | None = None
        self._is_away = {"redis": False, "database": False}

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end and wait for it, at most a second."""
        self._stop.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        due = 0.0
        while not self._stop.is_set():
            woken = self._listen() if self._last_seq is not None else False
            if woken or time.monotonic() >= due:
                self._read()
                due = time.monotonic() + POLL_S
        for open_one in (self._conn, self._heard, self._redis):
            if open_one is not None:
                open_one.close()

    def _read(self) -> None:
        try:
            if self._conn is None:
                self._conn = db.connect(self._settings.app_dsn)
                self._conn.autocommit = True
            if self._last_seq is None:
                self._last_seq = max(0, feed.bounds(self._conn)[1] - KEPT)
            self._page()
            self._say("database", None)
        except (psycopg.OperationalError, psycopg.InterfaceError) as err:
            self._say("database", err)
            if self._conn is not None:
                self._conn.close()
                self._conn = None
            self._stop.wait(LISTEN_S)

    def _page(self) -> None:
        """Hand on everything above the last number, page by page."""
        assert self._conn is not None
        assert self._last_seq is not None
        while not self._stop.is_set():
            found = feed.after(self._conn, self._last_seq, limit=BATCH)
            if found:
                self._last_seq = found[-1].seq
            # An empty page is handed on too: it says that the database was read just now.
            self._hand(found, time.monotonic())
            if len(found) < BATCH:
                return

    def _listen(self) -> bool:
        """Wait for a word from Redis, at most LISTEN_S; whether the outbox has something new."""
        try:
            if self._heard is None:
                heard = self._redis.pubsub(ignore_subscribe_messages=True)
                heard.subscribe(outbox.WAKE, MOVED, session.CHANNEL)
                self._heard = heard
                self._say("redis", None)
                return True  # what was said while nobody listened
            is_new, wait_s = False, LISTEN_S
            for _ in range(BATCH):
                message = self._heard.get_message(timeout=wait_s)
                if message is None:
                    break
                is_new |= self._take(message)
                wait_s = 0.0
            return is_new
        except (redis.RedisError, OSError) as err:
            self._say("redis", err)
            if self._heard is not None:
                self._heard.close()
                self._heard = None
            self._stop.wait(LISTEN_S)
            return False

    def _take(self, message: Row) -> bool:
        channel, said = message["channel"].decode(), message["data"]
        if channel == outbox.WAKE:
            return True
        try:
            if channel == MOVED:
                self._moved(json.loads(said))
            else:
                self._ended(bytes.fromhex(said.decode()))
        except ValueError as err:
            _LOG.warning("unreadable message", channel=channel, error=str(err))
        return False

    def _say(self, what: str, err: BaseException | None) -> None:
        """Log once when something goes and once when it is back."""
        if (err is not None) == self._is_away[what]:
            return
        self._is_away[what] = err is not None
        if err is not None:
            _LOG.warning(f"{what} away", error=str(err))
        else:
            _LOG.info(f"{what} back")
