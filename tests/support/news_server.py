"""A server of feeds on loopback that answers as real ones do, faults included."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]

FEED = (
    '<?xml version="1.0"?><rss version="2.0"><channel><title>{name}</title><language>en</language>'
    "{items}</channel></rss>"
)
ITEM = (
    "<item><title>{title}</title><link>https://{name}.example/{n}</link><guid isPermaLink='false'>{name}-{n}</guid>"
    "<pubDate>Mon, 02 Mar 2026 {hour:02}:{minute:02}:00 GMT</pubDate></item>"
)


def feed(name: str, count: int = 3, title: str = "{name} story {n} says something of its own") -> bytes:
    """A feed of some items, whose texts differ from those of others."""
    items = "".join(
        ITEM.format(title=title.format(name=name, n=n), name=name, n=n, hour=n // 60 % 24, minute=n % 60)
        for n in range(count)
    )
    return FEED.format(name=name, items=items).encode()


@dataclass
class NewsServer:
    """The server: a path and what it answers.

    Attributes:
        port: its port.
        answers: by path; others are 404.
        requests: path and headers of each request.
        released: set it to let the answers that never end, end.
    """

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        """Answers with a body."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            send(request, status, body, headers)

        self.answers[path] = answer

    def serve_validated(self, path: str, body: bytes, etag: str = '"v1"') -> None:
        """Answers 304 to whoever has the body already."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            known = request.headers.get("If-None-Match") == etag
            send(request, 304 if known else 200, b"" if known else body, {"ETag": etag})

        self.answers[path] = answer

    def serve_cut(self, path: str, body: bytes) -> None:
        """Answers with a compressed body of which the end is missing, and a length that hides it."""
        packed = gzip.compress(body)[:-12]
        self.serve(path, packed, **{"Content-Encoding": "gzip"})

    def serve_bomb(self, path: str, size: int) -> None:
        """Answers with a compressed body that is far larger when it is decompressed."""
        self.serve(path, gzip.compress(b" " * size), **{"Content-Encoding": "gzip"})

    def serve_slow_headers(self, path: str) -> None:
        """Sends one header after the other and never ends them, until it is released."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.released.wait(0.05):
                request.wfile.write(b"X-A: b\r\n")

        self.answers[path] = answer

    def serve_never(self, path: str) -> None:
        """Begins to answer and never ends, until it is released."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.end_headers()
            while not self.released.wait(0.05):
                request.wfile.write(b" ")
                request.wfile.flush()

        self.answers[path] = answer


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    """Sends a whole response."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


@contextmanager
def news_server() -> Iterator[NewsServer]:
    """Runs a server until the block ends."""
    state = NewsServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append((self.path, dict(self.headers)))
            try:
                state.answers.get(self.path, lambda request: send(request, 404, b"", {}))(self)
            except OSError:
                self.close_connection = True  # the client has gone

        do_HEAD = do_GET  # noqa: N815 - the name that the library calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield state
        state.released.set()
        server.shutdown()
