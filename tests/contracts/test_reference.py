"""The reference pages say what the code says."""

from __future__ import annotations

import pytest

from data.core import access, events
from docs import make, make_tables


@pytest.mark.parametrize("kind", list(events.Kind), ids=lambda kind: kind.value)
def test_every_kind_of_event_says_what_it_means_and_carries(kind):
    row = next(line for line in make_tables.events_page("").splitlines() if f"`{kind.value}`" in line)
    assert make_tables.DATA[kind]
    assert row.count("|") == 4


def test_the_permissions_page_has_every_permission_and_every_role():
    page = make_tables.permissions_page("")
    assert all(f"| `{permission}` |" in page for permission in access.PERMISSIONS)
    assert all(role in page for role in access.ROLES)


def test_no_reference_page_is_stale():
    assert make.stale() == []
