"""A web server on loopback that behaves, or misbehaves, as public servers do."""

from __future__ import annotations

import hashlib
import http.server
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Site:
    """Files by path, and how requests for them go wrong.

    Attributes:
        files: Content by path, without the leading slash.
        drops: By path, after how many bytes of the body the next connections break.
        statuses: By path, the status that is answered instead of the file.
        ranges: Whether Range is understood.
        lengths: Whether Content-Length is sent.
        resets: Whether connections break with a reset; otherwise they end early, as if all had come.
        pace: Seconds between pieces of 64 KiB.
        asked: Method, path and Range of each request, in order.
        root: Address of the server.
    """

    files: dict[str, bytes]
    drops: dict[str, list[int]] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    lengths: bool = True
    resets: bool = True
    pace: float = 0.0
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    root: str = ""

    def gets(self, end: str) -> list[str]:
        """Ranges of the GET requests for the path that ends with ``end``; "" asked for the whole file."""
        return [span for method, path, span in self.asked if method == "GET" and path.endswith(end)]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *words: Any) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self._send(body=False)

    def do_GET(self) -> None:
        self._send(body=True)

    def _send(self, body: bool) -> None:
        site, path = self.site, self.path.lstrip("/")
        site.asked.append((self.command, path, self.headers.get("Range", "")))
        status = site.statuses[path].pop(0) if site.statuses.get(path) else 0
        content = site.files.get(path)
        if status or content is None:
            self.send_response(status or 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        mark = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(span[1]) if span and site.ranges and self.headers.get("If-Range", mark) == mark else 0
        if start >= len(content) > 0:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", mark)
        if site.lengths:
            self.send_header("Content-Length", str(len(content) - start))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if body:
            self._body(path, content[start:])

    def _body(self, path: str, content: bytes) -> None:
        drops = self.site.drops.get(path)
        end = drops.pop(0) if drops else None
        sent = content if end is None else content[:end]
        for first in range(0, len(sent), 1 << 16):
            self.wfile.write(sent[first : first + (1 << 16)])
            time.sleep(self.site.pace)
        if end is not None:
            self.wfile.flush()
            self.close_connection = True
        if end is not None and self.site.resets:  # as from a router that forgot the connection
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the play."""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Within it ``site`` is served at ``site.root``."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    site.root = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
