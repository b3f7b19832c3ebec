"""A server on loopback that answers as Telegram's API does, and keeps what it took, in order."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TAKEN = b'{"ok":true,"result":{"message_id":1}}'

Answer = tuple[int, bytes]


def wait(seconds: float) -> Answer:
    """Too many messages."""
    answer = {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests",
        "parameters": {"retry_after": seconds},
    }
    return 429, json.dumps(answer).encode()


def refused(status: int, description: str) -> Answer:
    return status, json.dumps({"ok": False, "error_code": status, "description": description}).encode()


@dataclass
class TelegramServer:
    """The server.

    Attributes:
        url: its address.
        answers: what it answers to a text; None for the usual.
        drips_after: if it sends its answers a byte every quarter of a second: how many bytes it sends at once before.
        texts: what it took.
        requests: all texts that came.
    """

    url: str = ""
    answers: Callable[[str], Answer | None] = lambda _: None
    drips_after: int | None = None
    texts: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def telegram_server() -> Iterator[TelegramServer]:
    """The server, until the end of the block."""
    made, gone = TelegramServer(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = str(body["text"])
            made.requests.append(text)
            status, answer = made.answers(text) or (200, TAKEN)
            if status == 200 and answer == TAKEN:
                made.texts.append(text)
            if made.drips_after is not None:
                self._drip(status, answer, made.drips_after)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _drip(self, status: int, answer: bytes, at_once: int) -> None:
            """The answer and blanks without end, which may follow JSON, until nobody reads them."""
            head = f"HTTP/1.1 {status} OK\r\nContent-Length: 100000\r\nX-Padding: {'x' * 1000}\r\n\r\n".encode()
            if at_once:
                self.wfile.write(head + answer[:at_once])
            rest = answer[at_once:] if at_once else head
            with suppress(OSError):
                for byte in rest + b" " * 1000:
                    self.wfile.write(bytes([byte]))
                    if gone.wait(0.25):
                        return

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield made
        finally:
            gone.set()
            server.shutdown()
            serving.join()
