"""The web of tests/web serves the contract tests too."""

from __future__ import annotations

from tests.web.conftest import browser, rows, running, start, visitor

__all__ = ["browser", "rows", "running", "start", "visitor"]
