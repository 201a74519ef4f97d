"""Which operating system user a process runs as: never root for anything that talks to people or devices."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TypedDict

SERVER_USER, PRODUCT_USER, FALLBACK_USER = "postgres", "campus", "nobody"


class Drop(TypedDict, total=False):
    """Arguments of `subprocess.Popen` that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The operating system user a process runs as; equal to our own when we are not root."""

    name: str
    uid: int
    gid: int

    @property
    def drop(self) -> Drop:
        """Arguments for `subprocess.Popen` that change to this user; none when there is nothing to change."""
        if os.getuid() != 0 or self.uid == 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account(*wanted: str) -> Account:
    """The first of `wanted` that exists if we are root, else ourselves."""
    if os.getuid() != 0:
        mine = pwd.getpwuid(os.getuid())
        return Account(name=mine.pw_name, uid=mine.pw_uid, gid=mine.pw_gid)
    for name in (*wanted, FALLBACK_USER):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=found.pw_uid, gid=found.pw_gid)
    raise LookupError(f"none of the users {', '.join(wanted)}, {FALLBACK_USER} exists")


def product_account() -> Account:
    """The user of web, ingest, workers and Redis."""
    return account(PRODUCT_USER)


def server_account() -> Account:
    """The user of PostgreSQL."""
    return account(SERVER_USER)
