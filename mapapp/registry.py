"""Every door into the product and the permission it asks for; `mapapp.guard` reads it, nothing else does.

    PAGE = registry.page("/admin", requires="status.view", layout=layout, title_key="admin.title")

    @registry.route("GET", "/api/v1/schools", requires="place.view")
    def schools(q: str = "") -> list[dict[str, Any]]: ...

    @registry.callback(Output("card", "children"), Input("pick", "value"), requires="place.view")
    def card(school_id: int) -> Component: ...

    registry.layer("schools", requires="place.view")
    @registry.route("GET", "/tiles/{layer}/{z}/{x}/{y}", requires=registry.PER_LAYER)

A path that is not here is not there: the guard answers 404 before anything else sees the request.
Handlers, layouts and callbacks may block (they run in a thread) and ask `guard.visit()` who is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from data.core import access

F = TypeVar("F", bound=Callable[..., Any])
LOGGED_IN = "profile.view"  # every person's role has it: for doors that show nothing but one's own


class UnknownPermission(ValueError):
    """A door asks for a permission that no role can have."""


class DoubleDoor(ValueError):
    """Two doors with the same method and path, or two layers with the same id."""


@dataclass(frozen=True, slots=True)
class Per:
    """The permission depends on a parameter of the path: `table` gives value -> permission; another value is not there."""

    param: str
    table: Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An HTTP route. `options` go to FastAPI as they are."""

    method: str
    path: str
    requires: str | Per
    endpoint: Callable[..., Any] | None  # None: served by Dash or by a mount
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page. `order` sorts the menu and decides where a login lands; `layout` takes the parameters of the query it names."""

    path: str
    requires: str
    layout: Callable[..., Any]
    title_key: str
    order: int = 100
    colours: Literal["dark", "light"] = "dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A Dash callback, kept until the app exists."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    requires: str
    function: Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clientside:
    """A callback that runs in the browser: `function` of `namespace` in an assets file. The server refuses its id."""

    namespace: str
    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


ROUTES: dict[tuple[str, str], Route] = {}
PAGES: dict[str, Page] = {}
CALLBACKS: list[Callback] = []
CLIENTSIDE: list[Clientside] = []
LAYERS: dict[str, str] = {}
PER_LAYER = Per("layer", lambda: LAYERS)


def _known(requires: str | Per) -> None:
    if isinstance(requires, str) and requires != access.PUBLIC and requires not in access.PERMISSIONS:
        raise UnknownPermission(requires)


def _add(route: Route) -> None:
    _known(route.requires)
    key = (route.method, route.path)
    if key in ROUTES:
        raise DoubleDoor(f"{route.method} {route.path}")
    ROUTES[key] = route


def route(method: str, path: str, *, requires: str | Per, **options: Any) -> Callable[[F], F]:
    """Register the decorated function as the handler of `method path`.

    Raises:
        UnknownPermission, DoubleDoor: at import, so that a wrong door never opens.
    """
    _known(requires)

    def keep(endpoint: F) -> F:
        _add(Route(method=method, path=path, requires=requires, endpoint=endpoint, options=options))
        return endpoint

    return keep


def served(method: str, path: str, *, requires: str) -> None:
    """Say who may use a path that Dash or a mounted folder serves."""
    _add(Route(method=method, path=path, requires=requires, endpoint=None))


def page(
    path: str, *, requires: str, layout: Callable[..., Any], title_key: str, order: int = 100, colours: Literal["dark", "light"] = "dark"
) -> Page:
    """Register a page; its title is `t(title_key)`, in the menu it stands by `order`.

    Raises:
        UnknownPermission, DoubleDoor: at import.
    """
    _known(requires)
    if path in PAGES:
        raise DoubleDoor(path)
    PAGES[path] = Page(path=path, requires=requires, layout=layout, title_key=title_key, order=order, colours=colours)
    return PAGES[path]


def callback(*args: Any, requires: str, **kwargs: Any) -> Callable[[F], F]:
    """`dash.callback` with the permission its answer needs. Raises: UnknownPermission."""
    _known(requires)

    def keep(function: F) -> F:
        CALLBACKS.append(Callback(args=args, kwargs=kwargs, requires=requires, function=function))
        return function

    return keep


def clientside(namespace: str, function: str, *args: Any, **kwargs: Any) -> None:
    """A callback in the browser: `window.dash_clientside[namespace][function]` from an assets file, never inline."""
    CLIENTSIDE.append(Clientside(namespace=namespace, function=function, args=args, kwargs=kwargs))


def layer(layer_id: str, *, requires: str) -> None:
    """Say who may read a layer's tiles. Raises: UnknownPermission, DoubleDoor."""
    _known(requires)
    if layer_id in LAYERS:
        raise DoubleDoor(layer_id)
    LAYERS[layer_id] = requires
