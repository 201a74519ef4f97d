"""What went wrong, for people: one table from exception to HTTP status and words that say what to do next."""

from __future__ import annotations

import html
from dataclasses import dataclass

import psycopg
import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from data.core import access, session
from data.ingest import handlers
from data.rooms import monitor, response, warning, watch
from mapapp.text import lang, t

_LOG = structlog.get_logger(__name__)


class NotThere(LookupError):
    """No such thing, or not for this person: the answer is the same."""


class BadInput(ValueError):
    """The request cannot be understood; `key` says which sentence explains it."""

    def __init__(self, key: str = "bad_input") -> None:
        super().__init__(key)
        self.key = key


class Busy(RuntimeError):
    """Too much at once from this account."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An HTTP status and the key of two texts: `error.<key>` says what happened, `error.<key>.next` what to do."""

    status: int
    key: str


NOT_THERE = Problem(404, "not_there")
LOG_IN = Problem(401, "log_in")
FOREIGN = Problem(403, "foreign")
TOO_LARGE = Problem(413, "too_large")
NO_PICTURE = Problem(404, "no_picture")
AWAY = Problem(503, "away")
INTERNAL = Problem(500, "internal")

# The most special class first; a room's error is looked up along its bases.
TABLE: dict[type[Exception], Problem] = {
    access.Refused: NOT_THERE,
    NotThere: NOT_THERE,
    Busy: Problem(429, "busy"),
    session.BadLogin: Problem(401, "bad_login"),
    session.Throttled: Problem(429, "throttled"),
    RequestValidationError: Problem(422, "bad_input"),
    response.NotThere: NOT_THERE,
    response.AlreadyAcknowledged: Problem(409, "already_acknowledged"),
    response.AlreadyClosed: Problem(409, "already_closed"),
    response.NotAcknowledged: Problem(409, "not_acknowledged"),
    response.BadCause: Problem(422, "bad_cause"),
    response.BadPosition: Problem(422, "bad_position"),
    monitor.NotThere: NOT_THERE,
    monitor.BadCommand: Problem(422, "bad_command"),
    monitor.BadReport: Problem(422, "bad_report"),
    warning.CandidateNotThere: NOT_THERE,
    warning.AlreadyAnswered: Problem(409, "already_answered"),
    warning.CandidateOver: Problem(409, "candidate_over"),
    warning.BadAnswer: Problem(422, "bad_input"),
    watch.NotThere: NOT_THERE,
    handlers.NoSuchDeadLetter: NOT_THERE,
    watch.NoReason: Problem(403, "no_reason"),
    psycopg.OperationalError: AWAY,
    psycopg.InterfaceError: AWAY,
    TimeoutError: AWAY,
}


def problem_of(err: BaseException) -> Problem:
    """The problem behind an exception; `internal` for one the table does not know."""
    if isinstance(err, BadInput):
        return Problem(422, err.key)
    if isinstance(err, HTTPException):
        return (
            NOT_THERE if err.status_code in (404, 405) else Problem(err.status_code, "bad_input" if err.status_code < 500 else "internal")
        )
    return next((TABLE[kind] for kind in type(err).__mro__ if kind in TABLE), INTERNAL)


def as_json(problem: Problem, *, fields: list[str] | None = None, headers: dict[str, str] | None = None, **values: object) -> JSONResponse:
    """The answer of an API, a tile or a callback."""
    body: dict[str, object] = {
        "error": problem.key,
        "message": t(f"error.{problem.key}", **values),
        "next": t(f"error.{problem.key}.next", **values),
    }
    if fields:
        body["fields"] = fields
    return JSONResponse(body, status_code=problem.status, headers=headers)


_PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><link rel="stylesheet" href="/assets/login.css"></head><body class="gate"><main class="gate-card" role="alert">
<h1>{title}</h1><p>{next}</p><p><a href="{href}">{back}</a></p></main></body></html>"""


def as_page(problem: Problem, *, href: str = "/", back_key: str = "error.back", **values: object) -> HTMLResponse:
    """The answer of a page: what happened, what to do next, a way out."""
    page = _PAGE.format(
        lang=lang(),
        title=html.escape(t(f"error.{problem.key}", **values)),
        next=html.escape(t(f"error.{problem.key}.next", **values)),
        href=html.escape(href),
        back=html.escape(t(back_key)),
    )
    return HTMLResponse(page, status_code=problem.status)


async def handle(request: Request, err: Exception) -> Response:
    """FastAPI's exception handler; what the table does not know goes on to the server, which logs its trace."""
    problem = problem_of(err)
    if problem is AWAY:
        _LOG.warning("database away", path=request.url.path, error=str(err))
    fields = None
    if isinstance(err, RequestValidationError):
        fields = [".".join(str(part) for part in item["loc"]) for item in err.errors()]
    values: dict[str, object] = {}
    if isinstance(err, session.Throttled):
        values["wait_s"] = err.wait_s
    if isinstance(err, response.AlreadyAcknowledged):
        values["by"] = (err.by_en if lang() == "en" else err.by_zh) or t("error.somebody")
    headers = {"Retry-After": str(err.wait_s)} if isinstance(err, session.Throttled) else None
    return as_json(problem, fields=fields, headers=headers, **values)
