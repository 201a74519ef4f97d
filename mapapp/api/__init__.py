"""The API, a module per room; importing one opens its doors."""

from __future__ import annotations
