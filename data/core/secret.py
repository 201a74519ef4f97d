"""Secrets kept as files: mode 0600, owned by the product's user, complete or not there at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from data.core.osuser import product_account
from data.core.settings import Settings


def write_secret(path: Path, text: str) -> None:
    """Write `text` to `path`, 0600, in one step."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    if os.getuid() == 0:
        who = product_account()
        os.chown(part, who.uid, who.gid)
    part.replace(path)


def _demo_password_file(settings: Settings) -> Path:
    return settings.secret_dir / "demo-password"


def kept_demo_password(settings: Settings) -> str:
    """The password the demo accounts have now; "" before they exist."""
    try:
        return _demo_password_file(settings).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def keep_demo_password(settings: Settings, password: str) -> None:
    """Remember what the demo accounts were given."""
    write_secret(_demo_password_file(settings), password + "\n")


def demo_password(settings: Settings) -> str:
    """The password the demo accounts shall have: the setting, else the one made at the first start."""
    if settings.demo_password:
        return settings.demo_password
    if not kept_demo_password(settings):
        keep_demo_password(settings, secrets.token_urlsafe(9))
    return kept_demo_password(settings)
