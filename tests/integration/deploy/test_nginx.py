"""``deploy/nginx-dagster.conf`` in a real nginx over TLS: before a server that says what reached it, and Dagster's."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from processes import REPOSITORY, environment, free_port
from waiting import wait_until

NAME = "dagster.example.com"
USER, PASSWORD = "ana", "correct horse"
MUTATION = "/graphql?query=mutation{setNuxSeen}"
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
WEBSOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "graphql-ws",
}
SWITCHING = 101


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


LOGIN = basic(USER, PASSWORD)


@dataclass(frozen=True)
class Proxy:
    """A running proxy; requests go to its address whatever host they name."""

    port: int
    certificate: Path

    def ask(
        self,
        method: str,
        path: str,
        *,
        host: str | None = NAME,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Status and body of a response."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        with context.wrap_socket(raw, server_hostname=NAME) as secure:
            connection = http.client.HTTPConnection(NAME)
            connection.sock = secure
            connection.putrequest(method, path, skip_host=True)
            sent = {**({"Host": host} if host else {}), **(LOGIN if headers is None else headers)}
            sent |= {"Content-Length": str(len(body)), "Content-Type": "application/json"} if body else {}
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body.encode() if body else None)
            response = connection.getresponse()
            return response.status, "" if response.status == SWITCHING else response.read().decode()


@contextmanager
def proxied(folder: Path, upstream: int) -> Iterator[Proxy]:
    """The recipe with its names replaced as its first lines say, before a server on this port."""
    program = shutil.which("nginx", path=SEARCHED)
    if program is None:
        pytest.skip("no nginx to test the recipe with (apt-get install nginx)")
    folder.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}",
         "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", folder / "dagster.key", "-out", folder / "dagster.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()  # noqa: S324 - a form that nginx reads
    (folder / "dagster.passwords").write_text(f"{USER}:{{SHA}}{digest}\n")
    port = free_port()
    recipe = (REPOSITORY / "deploy" / "nginx-dagster.conf").read_text(encoding="utf-8")
    for written, here in (
        ("/etc/nginx/", f"{folder}/"),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("127.0.0.1:3000", f"127.0.0.1:{upstream}"),
    ):
        assert written in recipe
        recipe = recipe.replace(written, here)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"{user}daemon off;\nmaster_process on;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{recipe}}}\n",
        encoding="utf-8",
    )
    running = subprocess.Popen([program, "-p", folder, "-c", configuration], stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: listens(port), "nginx listens", running=running)
        yield Proxy(port, folder / "dagster.crt")
    finally:
        running.terminate()
        running.communicate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Says(BaseHTTPRequestHandler):
    """Answers with what reached it."""

    def _say(self) -> None:
        body = json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _say  # noqa: N815 - the names that the library calls

    def log_message(self, *_: object) -> None:
        """Says nothing on the tests' output."""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Says)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with proxied(tmp_path_factory.mktemp("nginx") / "etc", server.server_port) as running:
            yield running
    finally:
        server.shutdown()


def reached(proxy: Proxy, method: str, path: str, **request: object) -> dict[str, object]:
    status, body = proxy.ask(method, path, **request)  # type: ignore[arg-type]
    assert status == 200
    return json.loads(body)  # type: ignore[no-any-return]


@pytest.mark.parametrize("headers", [{}, basic(USER, "wrong"), basic("eve", PASSWORD), {"Authorization": "Basic !"}])
@pytest.mark.parametrize("path", ["/", "/graphql", "/server_info"])
def test_without_the_password_nothing_is_reached(proxy: Proxy, headers: dict[str, str], path: str) -> None:
    assert proxy.ask("GET" if path != "/graphql" else "POST", path, headers=headers)[0] in (401, 403)


def test_with_the_password_pages_and_questions_are_reached(proxy: Proxy) -> None:
    assert reached(proxy, "GET", "/runs?x=1")["path"] == "/runs?x=1"
    question = reached(proxy, "POST", "/graphql", body='{"query": "{version}"}')
    assert question["method"] == "POST"
    assert question["headers"]["Host"] == NAME  # type: ignore[index]
    assert "Authorization" not in question["headers"]  # type: ignore[operator]
    upgraded = reached(proxy, "GET", "/graphql", headers=LOGIN | WEBSOCKET)
    assert upgraded["headers"]["Upgrade"] == "websocket"  # type: ignore[index]
    assert upgraded["headers"]["Connection"] == "upgrade"  # type: ignore[index]
    assert reached(proxy, "POST", "/graphql", body="{}", headers=LOGIN | {"Origin": f"https://{NAME}"})


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:3000", "localhost", f"{NAME}.evil.example", f"a.{NAME}"])
def test_another_host_is_refused(proxy: Proxy, host: str) -> None:
    assert proxy.ask("GET", "/", host=host)[0] == 421
    assert proxy.ask("POST", "/graphql", host=host, body="{}")[0] == 421


def test_a_request_without_a_host_is_refused(proxy: Proxy) -> None:
    assert proxy.ask("GET", "/", host=None)[0] == 400


@pytest.mark.parametrize(
    "path", [MUTATION, "/graphql/?query=x", "/%67raphql?query=x", "//graphql", "/GraphQL", "/a/../graphql"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_mutation_by_get_is_refused(proxy: Proxy, method: str, path: str) -> None:
    assert proxy.ask(method, path)[0] == 405


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"http://{NAME}", f"https://{NAME}.evil.example"])
def test_pages_of_other_sites_are_refused(proxy: Proxy, origin: str) -> None:
    assert proxy.ask("POST", "/graphql", body="{}", headers=LOGIN | {"Origin": origin})[0] == 403
    assert proxy.ask("GET", "/graphql", headers=LOGIN | WEBSOCKET | {"Origin": origin})[0] == 403


@pytest.mark.exhaustive
def test_before_the_webserver_of_dagster(tmp_path: Path) -> None:
    """What it accepts by itself, it accepts no more; what the UI needs works."""
    port = free_port()
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-m", "dagster_webserver", "--empty-workspace", "-h", "127.0.0.1", "-p", str(port)]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(
            command, env=environment() | {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "yes"},
            stdout=log, stderr=log, text=True,
        )  # fmt: skip
    try:
        wait_until(lambda: listens(port), "the webserver listens", running=running)
        direct = http.client.HTTPConnection("127.0.0.1", port)
        direct.request("GET", MUTATION, headers={"Host": "evil.example"})
        assert json.loads(direct.getresponse().read()) == {"data": {"setNuxSeen": True}}
        with proxied(tmp_path / "etc", port) as proxy:
            assert proxy.ask("GET", MUTATION)[0] == 405
            assert proxy.ask("GET", "/", host="evil.example")[0] == 421
            assert proxy.ask("GET", "/", headers={})[0] == 401
            status, page = proxy.ask("GET", "/")
            assert (status, "<html" in page) == (200, True)
            status, version = proxy.ask("POST", "/graphql", body='{"query": "{version}"}')
            assert (status, "version" in json.loads(version)["data"]) == (200, True)
            assert proxy.ask("GET", "/graphql", headers=LOGIN | WEBSOCKET)[0] == SWITCHING
    finally:
        running.terminate()
        running.wait()
