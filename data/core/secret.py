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


def demo_password(settings: Settings) -> str:
    """The password of the demo accounts: the setting, else the one made at the first start."""
    kept = settings.secret_dir / "demo-password"
    if settings.demo_password:
        return settings.demo_password
    try:
        return kept.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        made = secrets.token_urlsafe(9)
        write_secret(kept, made + "\n")
        return made
