"""What one web process shares among its requests, and who the present request is from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg_pool
import redis
import redis.asyncio

from data.core import db, outbox
from data.core.access import Principal, Refused, Scope
from data.core.settings import Settings

if TYPE_CHECKING:
    from mapapp.live import Hub
    from mapapp.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Made once by `web.create_app`; nothing in it belongs to one user."""

    settings: Settings
    pool: psycopg_pool.ConnectionPool[db.Connection]
    redis: redis.Redis  # for handlers, which run in threads
    redis_async: redis.asyncio.Redis  # for the guard and the live stream
    hub: Hub
    metrics: Metrics

    @contextmanager
    def act(self, scope: Scope) -> Iterator[db.Connection]:
        """A transaction in `scope` that changes something; after its commit every browser is told."""
        with db.scoped(self.pool, scope) as conn:
            yield conn
        try:
            self.redis.publish(outbox.WAKE, 0)
        except (redis.RedisError, OSError):
            return  # every web process looks once a second anyway


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request: who asks, in which language, from where."""

    services: Services
    principal: Principal | None
    session_hash: bytes = b""
    csrf_token: str = ""
    lang: str = "zh"
    address: str = ""
    path: str = ""
    path_params: dict[str, str] = field(default_factory=dict)

    @property
    def person(self) -> Principal:
        """Who asks. Raises: Refused for an anonymous request, which the guard lets through to public doors only."""
        if self.principal is None:
            raise Refused(self.path)
        return self.principal

    @contextmanager
    def transaction(self) -> Iterator[db.Connection]:
        """One transaction that sees what this person may see; nothing for an anonymous request."""
        with db.scoped(self.services.pool, self.principal.scope if self.principal else Scope()) as conn:
            yield conn

    @contextmanager
    def act(self) -> Iterator[db.Connection]:
        """A transaction that changes something; after its commit every browser is told."""
        with self.services.act(self.principal.scope if self.principal else Scope()) as conn:
            yield conn


VISIT: ContextVar[Visit] = ContextVar("campus_visit")
