"""A server on loopback that answers as Telegram's API does, and keeps what it took, in order."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        texts: what it took.
        requests: all texts that came.
    """

    url: str = ""
    answers: Callable[[str], Answer | None] = lambda _: None
    texts: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def telegram_server() -> Iterator[TelegramServer]:
    """The server, until the end of the block."""
    made = TelegramServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = str(body["text"])
            made.requests.append(text)
            status, answer = made.answers(text) or (200, TAKEN)
            if status == 200 and answer == TAKEN:
                made.texts.append(text)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield made
        finally:
            server.shutdown()
            serving.join()
