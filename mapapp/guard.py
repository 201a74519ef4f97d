"""The one place where a request is checked: is there such a door, who asks, may they, is it their own browser.

Pure ASGI, outside everything else. A path that no registry names is answered 404 here, whoever
asks; "not yours" is the same answer. Handlers, layouts and callbacks find who asks in `visit()`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from re import Pattern
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import structlog
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.routing import compile_path

from data.core import access, session
from mapapp import errors, headers, registry, text
from mapapp.services import VISIT, Services, Visit
from mapapp.who import Who

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 1024 * 1024
CSRF_COOKIE, CSRF_HEADER, LANG_COOKIE = "_csrf_token", "X-CSRFToken", "campus_lang"
FORMS = frozenset({"/login", "/logout"})  # plain HTML sends no header; the origin is checked all the same
CALLBACK_PATH = "/_dash-update-component"
API_ROOTS = ("/api/", "/tiles/", "/live/", "/d/", "/_dash-", "/assets/", "/metrics")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOG = structlog.get_logger(__name__)


def visit() -> Visit:
    """The request being answered. Raises: LookupError outside one."""
    return VISIT.get()


def session_cookie(is_tls: bool) -> str:
    """Name of the session's cookie; under TLS the browser itself holds it to this host and to HTTPS."""
    return "__Host-campus_session" if is_tls else "campus_session"


class Table:
    """Doors by method and path, compiled once the registries are complete."""

    def __init__(self, routes: Mapping[tuple[str, str], registry.Route], pages: Mapping[str, registry.Page]) -> None:
        self._plain: dict[tuple[str, str], str | registry.Per] = {}
        self._patterns: list[tuple[str, Pattern[str], str | registry.Per]] = []
        doors = [(route.method, route.path, route.requires) for route in routes.values()]
        doors += [("GET", page.path, page.requires) for page in pages.values()]
        for method, path, requires in doors:
            if "{" in path:
                self._patterns.append((method, compile_path(path)[0], requires))
            else:
                self._plain[method, path] = requires

    def find(self, method: str, path: str) -> tuple[str | None, dict[str, str]]:
        """The permission behind a door and the parameters of its path; None where there is no door."""
        method = "GET" if method == "HEAD" else method
        requires, params = self._plain.get((method, path)), {}
        if requires is None:
            for pattern_method, pattern, wanted in self._patterns:
                match = pattern.match(path) if pattern_method == method else None
                if match:
                    requires, params = wanted, match.groupdict()
                    break
        if isinstance(requires, registry.Per):
            requires = requires.table().get(params.get(requires.param, ""))
        return requires, params


class TooLarge(ValueError):
    """The body is larger than any of ours, or does not say how large it is."""


class Guard:
    """Middleware around the whole app.

    Args:
        callbacks: output id of every server callback -> the permission it needs.
        router: output id of the callback that shows a page; its permission is that of the page it is asked for.
        policy: gives the Content-Security-Policy, known once the app has started.
    """

    def __init__(
        self, app: App, *, services: Services, table: Table, callbacks: Mapping[str, str], router: str, policy: Callable[[], str]
    ) -> None:
        self._app, self._services, self._table = app, services, table
        self._callbacks, self._router, self._policy = callbacks, router, policy
        self._who = Who(services)
        self._is_tls = services.settings.tls
        self._cookie = session_cookie(self._is_tls)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            # Nothing of ours speaks WebSocket; closed before it is accepted, which the browser sees as 403.
            await send({"type": "websocket.close", "code": 4403})

    async def _http(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        head = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        cookies = cookie_parser(head.get("cookie", ""))
        send = self._with_headers(scope, send)
        language = text.choose(cookies.get(LANG_COOKIE), head.get("accept-language"), self._services.settings.lang)
        try:
            found = await self._session(head, cookies)
        except (psycopg.OperationalError, psycopg.InterfaceError) as err:
            _LOG.warning("session not read", error=str(err))
            with text.speaking(language):
                await self._refuse(errors.AWAY, scope)(scope, receive, send)
            return
        if found is not None and LANG_COOKIE not in cookies:
            language = found.principal.lang
        with text.speaking(language):
            await self._checked(scope, receive, send, head, found, language)

    async def _checked(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        head: Mapping[str, str],
        found: session.Session | None,
        language: str,
    ) -> None:
        method, path = scope["method"], scope["path"]
        requires, params = self._table.find(method, path)
        principal = found.principal if found else None
        problem: errors.Problem | None = None
        if method not in _SAFE:
            problem = _foreign(scope, head, found)
            try:
                body = await _body(receive, head)
            except TooLarge:
                body, problem = b"", errors.TOO_LARGE
            receive = _replay(body, receive)
            if problem is None and path == CALLBACK_PATH and found is not None:
                requires = self._callback(body)
        if problem is None and requires != access.PUBLIC:
            if principal is None:
                problem = errors.LOG_IN
            elif requires is None or not principal.may(requires):
                problem = errors.NOT_THERE
        if problem is not None:
            await self._refuse(problem, scope)(scope, receive, send)
            return
        token = VISIT.set(
            Visit(
                services=self._services,
                principal=principal,
                session_hash=found.session_hash if found else b"",
                csrf_token=found.csrf_token if found else "",
                lang=language,
                address=(scope.get("client") or ("", 0))[0],
                path=path,
                path_params=params,
            )
        )
        try:
            await self._app(scope, receive, send)
        finally:
            VISIT.reset(token)

    async def _session(self, head: Mapping[str, str], cookies: Mapping[str, str]) -> session.Session | None:
        kind, _, token = head.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and token:
            return await self._who.by_token(token.strip())
        cookie = cookies.get(self._cookie)
        return await self._who.by_cookie(cookie) if cookie else None

    def _callback(self, body: bytes) -> str | None:
        """The permission a callback request needs: by the output it wants, for the router by the page it is asked for."""
        try:
            asked = json.loads(body)
            output = asked["output"]
            if output != self._router:
                return self._callbacks.get(output)
            pathname = asked["inputs"][0]["value"]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            return None
        return self._table.find("GET", pathname)[0] if pathname in registry.PAGES else None

    def _refuse(self, problem: errors.Problem, scope: Mapping[str, Any]) -> Response:
        path = scope["path"]
        if path.startswith(API_ROOTS) or scope["method"] not in _SAFE:
            return errors.as_json(problem)
        if problem is errors.LOG_IN:
            query = scope.get("query_string", b"").decode("latin-1")
            there = path + ("?" + query if query else "")
            return RedirectResponse("/login" + ("" if there == "/" else "?next=" + quote(there, safe="")), status_code=303)
        return errors.as_page(problem)

    def _with_headers(self, scope: Mapping[str, Any], send: Send) -> Send:
        extra = headers.security(self._policy(), is_tls=self._is_tls)
        kept = headers.caching(scope["path"], scope.get("query_string", b""))
        metrics, begun, root = self._services.metrics, time.monotonic(), _root(scope["path"])

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                metrics.requests.labels(root, str(message["status"])).inc()
                metrics.seconds.labels(root).observe(time.monotonic() - begun)
                own = [pair for pair in message.get("headers", []) if pair[0].lower() != b"server"]
                names = {name.lower() for name, _ in own}
                message["headers"] = own + extra + ([] if b"cache-control" in names else [kept])
            await send(message)

        return add


def _root(path: str) -> str:
    """The kind of door a path belongs to, for the figures: never the path itself, of which there are too many."""
    return next((root.strip("/") for root in API_ROOTS if path.startswith(root)), "page")


def home_of(principal: access.Principal) -> str:
    """The first page of the menu this person may open; '' when their work is elsewhere (a phone, a recorder)."""
    open_to = [page for page in registry.PAGES.values() if principal.may(page.requires)]
    return min(open_to, key=lambda page: page.order).path if open_to else ""


def _foreign(scope: Mapping[str, Any], head: Mapping[str, str], found: session.Session | None) -> errors.Problem | None:
    """Whether another site makes the browser ask. A token is not sent by itself, so it needs no proof; a cookie needs both."""
    if found is not None and not found.csrf_token:
        return None
    site, origin = head.get("sec-fetch-site"), head.get("origin")
    if site is not None and site != "same-origin":
        return errors.FOREIGN
    if origin is not None and urlsplit(origin).netloc != head.get("host", ""):
        return errors.FOREIGN
    if found is None or scope["path"] in FORMS:
        return None
    given = head.get(CSRF_HEADER.lower(), "")
    return None if secrets.compare_digest(given.encode(), found.csrf_token.encode()) else errors.FOREIGN


async def _body(receive: Receive, head: Mapping[str, str]) -> bytes:
    length = head.get("content-length", "")
    if (length and not length.isdigit()) or int(length or 0) > MAX_BODY_BYTES:
        raise TooLarge(length)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise TooLarge(str(size))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
