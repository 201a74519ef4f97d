"""Sealed bytes: AES-256-GCM under keys that come from one master key file or from nowhere else.

What belongs to a person (a template, a photo, a picture of a candidate) has a random data key of its own. The data key is
kept wrapped; deleting the wrapped key is the deletion of what it opened, in backups too.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12


class NotOpened(ValueError):
    """The bytes were not sealed with this key for this purpose, or somebody changed them."""


class BadKeyFile(ValueError):
    """The master key file is not 64 hexadecimal digits, or others may read it."""


def master_key(path: Path) -> bytes:
    """The master key of 32 bytes from `path` (64 hex digits, 0600), made there when there is none.

    Raises:
        BadKeyFile: the file is something else, or open to other users.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            pass  # another process was first: its key is the one that counts
        finally:
            new.unlink()
    if path.stat().st_mode & 0o077:
        raise BadKeyFile(f"{path} may be read by others: chmod 600")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError as err:
        raise BadKeyFile(f"{path} is not a key of 64 hexadecimal digits") from err
    if len(key) != KEY_BYTES:
        raise BadKeyFile(f"{path} is not a key of 64 hexadecimal digits")
    return key


def derive(master: bytes, purpose: str) -> bytes:
    """A key for one purpose; knowing it tells nothing about the master or another purpose. HKDF, RFC 5869."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=b"campus " + purpose.encode()).derive(master)


def new_key() -> bytes:
    """A random data key."""
    return secrets.token_bytes(KEY_BYTES)


def seal(key: bytes, clear: bytes, bound_to: str) -> bytes:
    """Encrypt; `bound_to` names what it belongs to, and only the same name opens it again."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, clear, bound_to.encode())


def unseal(key: bytes, sealed: bytes, bound_to: str) -> bytes:
    """Decrypt what `seal` made. Raises: NotOpened."""
    try:
        return AESGCM(key).decrypt(bytes(sealed[:_NONCE_BYTES]), bytes(sealed[_NONCE_BYTES:]), bound_to.encode())
    except (InvalidTag, ValueError) as err:
        raise NotOpened(bound_to) from err
