"""A server that expects heartbeats as healthchecks.io does, and keeps which came and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class HeartbeatServer:
    """The server.

    Attributes:
        url: the address to request.
        beats: the paths that were requested, with the monotonic time of each.
    """

    url: str = ""
    beats: list[tuple[str, float]] = field(default_factory=list)


@contextmanager
def heartbeat_server() -> Iterator[HeartbeatServer]:
    """The server, until the end of the block."""
    made = HeartbeatServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.beats.append((self.path, time.monotonic()))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}/ours"
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield made
        finally:
            server.shutdown()
            serving.join()
