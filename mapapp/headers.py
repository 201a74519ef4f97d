"""Headers of every answer: what a browser may load, and that nobody may frame, sniff or keep it."""

from __future__ import annotations

from collections.abc import Sequence

Header = tuple[bytes, bytes]


def policy(script_hashes: Sequence[str]) -> str:
    """Content-Security-Policy: scripts from our own files and the framework's hashed bootstraps only.

    Styles stay 'unsafe-inline': React, Mantine and Leaflet write style attributes (facts of the framework, not ours).
    """
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(("script-src 'self'", *script_hashes)),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "media-src 'self' data: blob:",
            "worker-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def security(content_policy: str, *, is_tls: bool) -> list[Header]:
    """What is added to every answer."""
    found = {
        "Content-Security-Policy": content_policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), payment=(), usb=(), geolocation=(self)",
    }
    if is_tls:
        found["Strict-Transport-Security"] = "max-age=31536000"
    return [(name.lower().encode(), value.encode()) for name, value in found.items()]


def caching(path: str, query: bytes) -> Header:
    """How long an answer that says nothing itself may be kept: our files under their version for a year, the rest not at all."""
    if path.startswith("/assets/"):
        return (b"cache-control", b"public, max-age=31536000, immutable" if b"m=" in query else b"no-cache")
    return (b"cache-control", b"no-store")
