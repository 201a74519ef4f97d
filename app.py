"""The one program: `app.py up` runs everything, `app.py <role>` one part of it, the rest are an administrator's commands.

Settings are read here, once, and passed on; a command imports only what it needs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from data.core import log, process
from data.core import settings as reading

# What follows the settings: nothing, the web's socket, the one word or all words after the command.
NOTHING, SOCKET, WORD, WORDS = "", "socket", "word", "words"
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("data.core.up:up", NOTHING, "run the whole product on this machine"),
    "web": ("mapapp.web:serve", SOCKET, "role: the map"),
    "ingest": ("data.ingest.consumer:run", NOTHING, "role: events into the database"),
    "devices": ("devices.worker:run", NOTHING, "role: poll panic buttons and modules"),
    "vision": ("vision.gate:run", NOTHING, "role: watch camera streams"),
    "players": ("data.demo.players:run", NOTHING, "role: buttons, streams and phones of the demo city"),
    "demo load": ("data.demo.load:load", NOTHING, "load the demo city into an empty database"),
    "demo press": ("devices.demo:press", WORD, "press a panic button of the running demo: a number or a device code"),
    "migrate": ("data.core.migrate:main", NOTHING, "bring the database to this version"),
    "import": ("data.ingest.imports:main", WORDS, "districts|schools FILE: take over real data"),
    "models": ("vision.models:main", WORDS, "install DIR|URL, list: models for the cameras"),
    "audit verify": ("data.core.audit:verify_main", NOTHING, "recompute the chains of history"),
    "user": ("data.core.session:user_main", WORDS, "add|password|list: accounts"),
    "tls": ("data.core.tls:main", WORDS, "make the certificate for phones; print its fingerprint and a QR code"),
    "doctor": ("data.core.doctor:main", NOTHING, "say what is missing and how to get it"),
}


def _parser() -> argparse.ArgumentParser:
    said = "\n".join(f"  {name:{max(map(len, COMMANDS))}}  {what}" for name, (_, _, what) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="app.py",
        description=f"Campus Safety Map\n\n{said}\n\nSettings: docs/reference/settings.md",
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("command", help="one of the above")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="what belongs to it")
    return parser


def main(argv: list[str]) -> int:
    """Run one command; returns the exit code, 2 for a wrong use or a setting that cannot be."""
    parser = _parser()
    given = parser.parse_args(argv)
    name, words = given.command, list(given.words)
    if name not in COMMANDS and words and f"{name} {words[0]}" in COMMANDS:
        name = f"{name} {words.pop(0)}"
    if name not in COMMANDS:
        parser.error(f"unknown command: {' '.join(argv)}")
    target, takes, _ = COMMANDS[name]
    if (takes == NOTHING and words) or (takes == WORD and len(words) != 1):
        parser.error(f"{name} takes {'one word' if takes == WORD else 'nothing more'}")
    try:
        settings = reading.read()
    except reading.BadSetting as err:
        parser.exit(2, f"{err}\n")
    if "CAMPUS_PARENT" in os.environ and name != "up":
        process.follow_parent(int(os.environ["CAMPUS_PARENT"]))
    if COMMANDS[name][2].startswith("role:"):
        log.configure()
    if takes == SOCKET:
        from data.core.up import socket_of

        words = [socket_of(settings, words)]
    module, _, function = target.partition(":")
    done = getattr(importlib.import_module(module), function)(settings, *([words] if takes == WORDS else words))
    return 0 if done is None or isinstance(done, bool) else int(done)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
