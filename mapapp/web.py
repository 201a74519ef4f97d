"""The web process: Dash and FastAPI in one ASGI app behind the guard."""

from __future__ import annotations

import inspect
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial, wraps
from pathlib import Path
from typing import Any

import anyio.to_thread
import redis.asyncio
import structlog
import uvicorn
from dash import ClientsideFunction, Dash, set_props
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from data.core import access, db
from data.core.settings import Settings
from data.core.stream import connect

# Importing a module opens its doors; a module that is not here has none.
from mapapp import api, errors, guard, headers, health, login, pages, registry, stream, text, tiles  # noqa: F401
from mapapp.live import Hub
from mapapp.metrics import Metrics
from mapapp.pack import Pack
from mapapp.services import Services

ASSETS = Path(__file__).parent / "assets"
POOL_MOST = 8
STOP_S = 1  # what is still running then is cut off
_LOG = structlog.get_logger(__name__)

# What Dash serves by itself. Component files are the framework's own code; everything else shows what a person may do.
registry.served("GET", "/assets/{path:path}", requires=access.PUBLIC)
registry.served("GET", "/_dash-component-suites/{path:path}", requires=access.PUBLIC)
registry.served("GET", "/_dash-layout", requires=registry.LOGGED_IN)
registry.served("GET", "/_dash-dependencies", requires=registry.LOGGED_IN)
registry.served("POST", guard.CALLBACK_PATH, requires=registry.LOGGED_IN)

_INDEX = """<!DOCTYPE html>
<html lang="{lang}">
<head>
{{%metas%}}
<title>{title}</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
{{%css%}}
<script type="application/json" id="campus-boot">{boot}</script>
</head>
<body>
{{%app_entry%}}
<footer>{{%config%}}{{%scripts%}}{{%renderer%}}</footer>
</body>
</html>"""


class CampusDash(Dash):
    """Dash whose first HTML carries the language, the title of the page and every text, and that opens no WebSocket."""

    def _config(self) -> dict[str, Any]:
        # Dash opens a WebSocket on every page of a FastAPI app, callbacks or not (plotly/dash#3941); we have none.
        return {key: value for key, value in super()._config().items() if key != "websocket"}

    def interpolate_index(self, **kwargs: Any) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        visit = guard.visit()
        page = registry.PAGES.get(visit.path)
        boot = {"lang": visit.lang, "zone": visit.services.settings.site_tz, "messages": {lang: text.messages(lang) for lang in text.LANGS}}
        shell = _INDEX.format(
            lang="zh-CN" if visit.lang == "zh" else "en", title=text.t(page.title_key) if page else text.t("app.name"), boot="{%boot%}"
        )
        for name in ("metas", "css", "app_entry", "config", "scripts", "renderer"):
            shell = shell.replace("{%" + name + "%}", kwargs[name])
        return shell.replace("{%boot%}", text.inline_json(boot))


def create_app(settings: Settings) -> FastAPI:
    """The ASGI app of one web process, with connections of its own; it reads and serves from its lifespan's start on."""
    metrics = Metrics()
    services = Services(
        settings=settings,
        pool=db.pool(settings.app_dsn, high=POOL_MOST),
        redis=connect(settings.redis),
        redis_async=redis.asyncio.Redis.from_url(settings.redis, socket_connect_timeout=1.0),
        hub=Hub(metrics),
        metrics=metrics,
    )
    policies: list[str] = [headers.policy([])]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Dash does this at the first request for `/` only: after a deep link a worker would serve pages without scripts.
        for prepare in dash_app.backend._before_request_funcs:  # pyright: ignore[reportAttributeAccessIssue]
            done = prepare()
            if inspect.isawaitable(done):
                await done
        policies[0] = headers.policy(dash_app.csp_hashes())
        services.hub.start(services)
        try:
            yield
        finally:
            await services.hub.stop()
            await services.redis_async.aclose()
            services.redis.close()
            await anyio.to_thread.run_sync(services.pool.close)

    app = FastAPI(title="Campus Safety Map", version="1", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.services = services
    for kind in (*errors.TABLE, errors.BadInput, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, errors.handle)
    app.add_exception_handler(Exception, errors.handle)
    for route in registry.ROUTES.values():
        if route.endpoint is not None:
            app.add_api_route(route.path, route.endpoint, methods=[route.method], **route.options)
    dash_app = CampusDash(
        "mapapp",
        server=app,  # pyright: ignore[reportArgumentType]
        backend="fastapi",
        assets_folder=str(ASSETS),
        assets_ignore=r"login\.css",
        compress=True,
        suppress_callback_exceptions=True,
        update_title=None,  # pyright: ignore[reportArgumentType]
        title="Campus Safety Map",
        use_pages=False,
        include_pages_meta=False,
        csrf_token_name=guard.CSRF_COOKIE,
        csrf_header_name=guard.CSRF_HEADER,
        on_error=_callback_failed,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    dash_app.layout = pages.shell
    pages.route(dash_app)
    allowed = _callbacks(dash_app)
    table = guard.Table(registry.ROUTES, registry.PAGES)
    build = app.build_middleware_stack
    # Outermost, outside the server's own error page as well: nothing answers without the guard's headers.
    app.build_middleware_stack = lambda: guard.Guard(  # type: ignore[method-assign]
        Pack(build()), services=services, table=table, callbacks=allowed, router=pages.ROUTER, policy=lambda: policies[0]
    )
    app.state.dash = dash_app
    app.state.callbacks = allowed
    return app


def _callbacks(dash_app: Dash) -> dict[str, str]:
    """Give Dash the registered callbacks; output id -> the permission each needs."""
    allowed: dict[str, str] = {}
    for one in registry.CALLBACKS:
        dash_app.callback(*one.args, **one.kwargs)(_off_loop(one.function))
        allowed[dash_app._callback_list[-1]["output"]] = one.requires
    for one in registry.CLIENTSIDE:
        dash_app.clientside_callback(ClientsideFunction(one.namespace, one.function), *one.args, **one.kwargs)
    return allowed


def _off_loop(function: Any) -> Any:
    """Run a callback in a thread: Dash's FastAPI backend would run it on the event loop, where it holds up every live stream."""
    if inspect.iscoroutinefunction(function):
        return function

    @wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        return await anyio.to_thread.run_sync(partial(function, *args, **kwargs))

    return run


def _callback_failed(err: Exception) -> None:
    """Say on the page what went wrong in a callback, and what to do; what nobody foresaw is logged with its trace."""
    problem = errors.problem_of(err)
    if problem is errors.INTERNAL:
        _LOG.error("callback failed", exc_info=err)
    set_props(pages.PROBLEM, {"children": pages.trouble(problem.key)})


class Server(uvicorn.Server):
    """Ends the live streams first: they would otherwise hold up a stop for as long as it may take."""

    def __init__(self, app: FastAPI) -> None:
        services: Services = app.state.services
        is_tls, tls_dir = services.settings.tls, services.settings.tls_dir
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=STOP_S,
                timeout_keep_alive=75,
                backlog=1024,
                ssl_certfile=str(tls_dir / "server.crt") if is_tls else None,
                ssl_keyfile=str(tls_dir / "server.key") if is_tls else None,
            )
        )
        self._hub = services.hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._hub.close_streams()
        await super().shutdown(sockets)


def serve(settings: Settings, fd: int) -> None:
    """Serve until SIGTERM or SIGINT on the listening socket `fd`, which was bound before anything else was started."""
    Server(create_app(settings)).run(sockets=[socket.socket(fileno=fd)])
