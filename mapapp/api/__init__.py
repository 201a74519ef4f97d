"""The API, a module per room; importing one opens its doors."""

from __future__ import annotations

from mapapp.api import monitor, place, response, wall, warning

__all__ = ["monitor", "place", "response", "wall", "warning"]
