"""Where the demo's players find what they act from: files in data_dir, written by the loader. Imports nothing heavy.

`modules.json` lists the I/O modules (its form is the module player's), `phones.json` the ways of the moving units as
{"login", "way": [[longitude, latitude, seconds since the start], …]}, `recorders.json` the cameras behind each recorder
as {"recorder", "cameras": [code, …]}. The API tokens are apart, in secret/demo-tokens.json, mode 0600.
"""

from __future__ import annotations

from pathlib import Path

from data.core.settings import Settings


def tokens_file(settings: Settings) -> Path:
    """API tokens of the players: JSON, login to token."""
    return settings.secret_dir / "demo-tokens.json"


def phones_file(settings: Settings) -> Path:
    """The ways of the moving units."""
    return settings.data_dir / "demo" / "phones.json"


def recorders_file(settings: Settings) -> Path:
    """The cameras behind each recorder."""
    return settings.data_dir / "demo" / "recorders.json"
