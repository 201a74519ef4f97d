"""Cameras that misbehave: small TCP servers that send what no camera should."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

OK = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=f\r\n\r\n"

#: Writes what a client gets; `write` raises OSError when the client has gone.
Script = Callable[[Callable[[bytes], Any], threading.Event], Any]


@contextlib.contextmanager
def camera(script: Script) -> Iterator[str]:
    """The URL of a camera on 127.0.0.1 that answers every client with `script`."""
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(5)
            with contextlib.suppress(OSError):
                self.request.recv(4096)
                script(self.request.sendall, ended)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/cam"
        finally:
            ended.set()
            server.shutdown()
            thread.join(2)


def part(picture: bytes, *, with_length: bool = True) -> bytes:
    """One picture of a multipart stream with the boundary `f`."""
    length = b"Content-Length: %d\r\n" % len(picture) if with_length else b""
    return b"--f\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + picture + b"\r\n"
