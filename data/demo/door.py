"""The product's API as a phone or a recorder uses it: one kept connection, a token, TLS where the product has it."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, Self
from urllib.parse import urlsplit

from data.core.settings import Settings

TIMEOUT_S = 10.0


class Shut(OSError):
    """The product does not answer, or answers that it cannot now; try again later."""


class Turned(RuntimeError):
    """The product answers, but not to us: the token or what was sent is wrong."""


class Door:
    """One way in. Not to be shared by threads."""

    def __init__(self, settings: Settings) -> None:
        where = urlsplit(settings.url)
        # A name of our own on loopback: the certificate names 127.0.0.1.
        self._host, self._port = where.hostname or "127.0.0.1", where.port or settings.port
        self._tls = ssl.create_default_context(cafile=str(settings.tls_dir / "ca.crt")) if settings.tls else None
        self._open: http.client.HTTPConnection | None = None

    def post(self, path: str, body: Any, token: str) -> dict[str, Any]:
        """POST JSON and give the JSON of the answer.

        Raises:
            Shut: no connection, a time-out, or 429 or 5xx.
            Turned: any other answer but 2xx.
        """
        sent = json.dumps(body).encode()
        head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for is_last in (False, True):
            kept = self._open is not None
            try:
                answer = self._ask(path, sent, head)
                break
            except (OSError, http.client.HTTPException) as err:
                self.close()
                # A connection the server closed while it was idle says so only now; a new one tells the truth.
                if is_last or not kept:
                    raise Shut(f"{type(err).__name__}: {err}") from err
        else:
            raise AssertionError("unreachable")
        status, text = answer
        if status == 429 or status >= 500:
            raise Shut(f"status {status}")
        if not 200 <= status < 300:
            raise Turned(f"status {status}: {text[:200].decode(errors='replace')}")
        return dict(json.loads(text))

    def _ask(self, path: str, sent: bytes, head: dict[str, str]) -> tuple[int, bytes]:
        if self._open is None:
            if self._tls is None:
                self._open = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
            else:
                self._open = http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=self._tls)
        self._open.request("POST", path, body=sent, headers=head)
        answer = self._open.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        """Hang up."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
