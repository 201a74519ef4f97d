"""Candidates over HTTP: what the machine proposes, the two pictures to compare, and what a person says."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel
from starlette.responses import Response

from data.core import seal
from data.rooms import warning
from mapapp import guard, registry


class Answer(BaseModel):
    """What a named person says to a candidate; nothing happens before it."""

    answer: Literal["yes", "no", "unsure"]


@registry.route("GET", "/api/v1/candidates", requires="candidate.view")
def candidates() -> dict[str, Any]:
    """Candidates that wait for an answer."""
    with guard.visit().transaction() as conn:
        return {"candidates": warning.open_candidates(conn)}


@registry.route("POST", "/api/v1/candidates/{candidate_id:int}/answer", requires="candidate.answer")
def answer(candidate_id: int, said: Answer) -> dict[str, Any]:
    """Yes raises an alarm, no deletes the picture now, unsure leaves it to somebody else."""
    visit = guard.visit()
    with visit.act() as conn:
        return warning.answer(conn, visit.person, candidate_id, said.answer)


@registry.route("GET", "/api/v1/candidates/{candidate_id:int}/picture", requires="candidate.view", include_in_schema=False)
def picture(candidate_id: int) -> Response:
    """What the camera saw, other faces blurred; gone once the candidate is answered with no or over."""
    return _picture(candidate_id, "found")


@registry.route("GET", "/api/v1/candidates/{candidate_id:int}/photo", requires="candidate.view", include_in_schema=False)
def photo(candidate_id: int) -> Response:
    """The photo of the register to compare with, only while the candidate waits."""
    return _picture(candidate_id, "entry")


def _picture(candidate_id: int, which: str) -> Response:
    visit = guard.visit()
    key = seal.master_key(visit.services.settings.master_key_file)
    with visit.transaction() as conn:
        jpeg = warning.candidate_picture(conn, visit.person, candidate_id, which, key)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})
