"""Who is asking: the session behind a cookie or a token, read from PostgreSQL and kept in Redis for a few seconds.

Losing Redis logs nobody out, it only makes every request ask PostgreSQL. An ended session leaves a
mark in Redis that outlives every copy, and `campus:live:session` tells the open streams.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import redis
import redis.asyncio

from data.core import db, session
from data.core.access import Principal, Scope
from mapapp.services import Services

KEEP_S = 10  # how long a copy in Redis is believed
REDIS_WAIT_S = 0.25  # a hanging Redis must not hold up the map
REDIS_PAUSE_S = 2.0  # not asked again after a failure


def _pack(found: session.Session) -> bytes:
    who = found.principal
    return json.dumps(
        {
            "csrf": found.csrf_token,
            "account_id": who.account_id,
            "login": who.login,
            "name_zh": who.name_zh,
            "name_en": who.name_en,
            "role": who.role,
            "lang": who.lang,
            "demo": who.demo,
            "permissions": sorted(who.permissions),
            "scope": {
                "is_city": who.scope.is_city,
                "districts": sorted(who.scope.districts),
                "streets": sorted(who.scope.streets),
                "schools": sorted(who.scope.schools),
                "cells": sorted(who.scope.cells),
            },
        }
    ).encode()


def _unpack(session_hash: bytes, packed: bytes) -> session.Session:
    raw: dict[str, Any] = json.loads(packed)
    scope = raw["scope"]
    principal = Principal(
        account_id=raw["account_id"],
        login=raw["login"],
        name_zh=raw["name_zh"],
        name_en=raw["name_en"],
        role=raw["role"],
        scope=Scope(
            is_city=scope["is_city"],
            districts=frozenset(scope["districts"]),
            streets=frozenset(scope["streets"]),
            schools=frozenset(scope["schools"]),
            cells=frozenset(scope["cells"]),
        ),
        permissions=frozenset(raw["permissions"]),
        lang=raw["lang"],
        demo=raw["demo"],
    )
    return session.Session(session_hash=session_hash, csrf_token=raw["csrf"], principal=principal, expires_at=None)


class Who:
    """Finds sessions for the guard; one per process."""

    def __init__(self, services: Services) -> None:
        self._pool, self._redis = services.pool, services.redis_async
        self._redis_again_at = 0.0

    async def by_cookie(self, cookie: str) -> session.Session | None:
        """The open session of a cookie. Raises: psycopg.Error when PostgreSQL has to be asked and does not answer."""
        session_hash = session.hash_of(cookie)
        kept = await self._kept(session_hash)
        if kept is not None:
            return None if kept == session.ENDED else _unpack(session_hash, kept)
        found = await asyncio.to_thread(self._read, session_hash)
        if found is not None:
            await self._keep(found)
        return found

    async def by_token(self, token: str) -> session.Session | None:
        """The account of an API token, always from PostgreSQL: a revoked token ends at once."""
        return await asyncio.to_thread(self._read_token, token)

    def _read(self, session_hash: bytes) -> session.Session | None:
        with db.scoped(self._pool, Scope()) as conn:
            return session.find(conn, [session_hash]).get(session_hash)

    def _read_token(self, token: str) -> session.Session | None:
        with db.scoped(self._pool, Scope()) as conn:
            return session.find_token(conn, token)

    async def _kept(self, session_hash: bytes) -> bytes | None:
        if time.monotonic() < self._redis_again_at:
            return None
        try:
            kept = await asyncio.wait_for(self._redis.get(session.cache_key(session_hash)), REDIS_WAIT_S)
            return kept if isinstance(kept, bytes) else None
        except (redis.RedisError, OSError, TimeoutError):
            self._redis_again_at = time.monotonic() + REDIS_PAUSE_S
            return None

    async def _keep(self, found: session.Session) -> None:
        if time.monotonic() < self._redis_again_at:
            return
        try:
            # nx: a mark left by the end of the session, meanwhile, is not painted over.
            await asyncio.wait_for(self._redis.set(session.cache_key(found.session_hash), _pack(found), ex=KEEP_S, nx=True), REDIS_WAIT_S)
        except (redis.RedisError, OSError, TimeoutError):
            self._redis_again_at = time.monotonic() + REDIS_PAUSE_S
