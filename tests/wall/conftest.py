"""The town in the database of a test."""

from __future__ import annotations

import pytest

from tests.ingest import town


@pytest.fixture
def city(database, owner):
    """The database with the town in it."""
    town.build(owner)
    return database
