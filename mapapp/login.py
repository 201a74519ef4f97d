"""Coming in and going out: the login page, the session's cookies, the language."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import Form, Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from data.core import access, session
from mapapp import errors, guard, registry, text
from mapapp.pages import login as page
from mapapp.services import Services, Visit

LANG_DAYS = 400  # the most a browser keeps a cookie


def next_of(wanted: str, home: str) -> str:
    """Where to go after a login: a page of ours, never another site; else the home page, else `/`."""
    parts = urlsplit(wanted)
    is_ours = not parts.scheme and not parts.netloc and parts.path in registry.PAGES and not wanted.startswith(("//", "/\\"))
    return wanted if is_ours else home or "/"


def _keep(answer: Response, services: Services, *, cookie: str, csrf_token: str) -> None:
    is_tls, age_s = services.settings.tls, services.settings.session_hours * 3600
    answer.set_cookie(guard.session_cookie(is_tls), cookie, max_age=age_s, httponly=True, samesite="strict", secure=is_tls, path="/")
    # Read by the page's own scripts and sent back as a header: another site can do neither.
    answer.set_cookie(guard.CSRF_COOKIE, csrf_token, max_age=age_s, samesite="strict", secure=is_tls, path="/")


def _speak(answer: Response, services: Services, lang: str) -> None:
    answer.set_cookie(guard.LANG_COOKIE, lang, max_age=LANG_DAYS * 86400, samesite="strict", secure=services.settings.tls, path="/")


@registry.route("GET", "/", requires=registry.LOGGED_IN, include_in_schema=False)
def home() -> Response:
    """The first page this person may open; for those who work on the phone a page that says so."""
    visit = guard.visit()
    path = guard.home_of(visit.person)
    return RedirectResponse(path, status_code=303) if path else HTMLResponse(page.render_elsewhere(visit.person))


@registry.route("GET", "/login", requires=access.PUBLIC, include_in_schema=False)
def show_login(lang: str = "", next: str = "") -> Response:  # the query's own word
    """The login page; `?lang=` switches its language."""
    visit = guard.visit()
    if visit.principal is not None and guard.home_of(visit.principal):
        return RedirectResponse(next_of(next, guard.home_of(visit.principal)), status_code=303)
    chosen = text.choose(lang, text.lang())
    with text.speaking(chosen):
        answer = HTMLResponse(page.render(visit.services.settings, next_path=next))
    if lang:
        _speak(answer, visit.services, chosen)
    return answer


@registry.route("POST", "/login", requires=access.PUBLIC, include_in_schema=False)
def log_in(
    request: Request, login: Annotated[str, Form()], password: Annotated[str, Form()], next: Annotated[str, Form()] = ""
) -> Response:
    """Open a session. A form is answered with the next page, `Accept: application/json` with {csrf_token, home}."""
    visit = guard.visit()
    services = visit.services
    wants_json = "application/json" in request.headers.get("accept", "")
    try:
        opened = session.log_in(
            services.pool,
            login=login,
            password=password,
            address=visit.address,
            user_agent=request.headers.get("user-agent", ""),
            hours=services.settings.session_hours,
        )
    except session.SessionError as err:
        if wants_json:
            raise
        problem = errors.problem_of(err)
        wait_s = err.wait_s if isinstance(err, session.Throttled) else 0
        shown = page.render(services.settings, next_path=next, login=login, problem=problem.key, wait_s=wait_s)
        return HTMLResponse(shown, status_code=problem.status, headers={"Retry-After": str(wait_s)} if wait_s else None)
    if visit.session_hash:  # a new login in the same browser ends the old one
        _end(visit)
    home = guard.home_of(opened.session.principal)
    answer: Response
    if wants_json:
        answer = JSONResponse({"csrf_token": opened.session.csrf_token, "home": home})
    else:
        answer = RedirectResponse(next_of(next, home), status_code=303)
    _keep(answer, services, cookie=opened.cookie, csrf_token=opened.session.csrf_token)
    return answer


def _end(visit: Visit) -> None:
    with visit.transaction() as conn:
        session.end(conn, visit.session_hash, visit.principal)
    session.announce_end(visit.services.redis, visit.session_hash)


@registry.route("POST", "/logout", requires=access.PUBLIC, include_in_schema=False)
def log_out() -> Response:
    """End the session; its open streams end within a second, in every window."""
    visit = guard.visit()
    if visit.session_hash:
        _end(visit)
    answer = RedirectResponse("/login", status_code=303)
    for name in (guard.session_cookie(visit.services.settings.tls), guard.CSRF_COOKIE):
        answer.delete_cookie(name, path="/", secure=visit.services.settings.tls, samesite="strict", httponly=name != guard.CSRF_COOKIE)
    return answer


@registry.route("GET", "/api/v1/me", requires=registry.LOGGED_IN)
def me() -> dict[str, Any]:
    """Who is logged in and what they may do; 401 says that the login has ended."""
    person = guard.visit().person
    scope = person.scope
    return {
        "login": person.login,
        "name_zh": person.name_zh,
        "name_en": person.name_en,
        "role": person.role,
        "lang": person.lang,
        "permissions": sorted(person.permissions),
        "scope": {
            "is_city": scope.is_city,
            "districts": sorted(scope.districts),
            "streets": sorted(scope.streets),
            "schools": sorted(scope.schools),
        },
    }


class Lang(BaseModel):
    lang: Literal["zh", "en"]


@registry.route("POST", "/api/v1/lang", requires=registry.LOGGED_IN)
def choose_lang(wish: Lang) -> Response:
    """Switch the language of one's account, on every device."""
    visit = guard.visit()
    with visit.transaction() as conn:
        session.set_lang(conn, visit.person.account_id, wish.lang)
    answer = JSONResponse({"lang": wish.lang})
    _speak(answer, visit.services, wish.lang)
    return answer
