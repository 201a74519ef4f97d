"""Schools over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from data.rooms import place
from mapapp import errors, guard, registry


@registry.route("GET", "/api/v1/schools", requires="place.view")
def schools(q: Annotated[str, Query(max_length=100)] = "", limit: Annotated[int, Query(ge=1, le=200)] = 20) -> dict[str, Any]:
    """Schools by Chinese or English name, pinyin (whole or initials) or code; the first ones by code without `q`."""
    with guard.visit().transaction() as conn:
        return {"schools": place.search(conn, q, limit=limit)}


@registry.route("GET", "/api/v1/schools/{school_id:int}", requires="place.view")
def school(school_id: int) -> dict[str, Any]:
    """One school: whom to call, gates, posts, devices, cameras, counts."""
    visit = guard.visit()
    with visit.transaction() as conn:
        found = place.card(conn, school_id, is_operator=visit.person.may("alarm.acknowledge"))
    if found is None:
        raise errors.NotThere(f"school {school_id}")
    return found
