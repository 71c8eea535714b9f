"""The server: this machine alone may ask, with the key that stands in the address."""

from __future__ import annotations

import hmac
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryostat.core.errors import CryostatError, SettingError
from cryostat.report.view.answers import answer, trouble
from cryostat.report.view.asking import TYPES, Answer, Asked, MissingError
from cryostat.report.view.shelf import Shelf

ADDRESS = "127.0.0.1"
"""The only one that is listened on: nobody on the network can ask."""

NAMES = (ADDRESS, "localhost")
"""Hosts that a request may be meant for; another is a page elsewhere that had its name point here."""

PATIENCE = 30
"""Seconds that a client may be silent."""

ALWAYS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of all answers: what is shown may be of patients."""


class ViewServer:
    """Shows a shelf on this machine until it is closed.

    Other users of the machine can reach it too, so every address begins with a random key.

    Args:
        shelf: What is shown.
        port: Where; 0 for any that is free.

    Raises:
        SettingError: The port is taken, or may not be listened on.
    """

    def __init__(self, shelf: Shelf, port: int = 0) -> None:
        self.key = secrets.token_urlsafe(16)
        try:
            self._server = _Server((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            raise SettingError(
                f"cannot listen on port {port} ({error})", remedy="Choose another with --port, or 0 for any"
            ) from error
        self._server.shelf, self._server.key = shelf, self.key

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address to open, with the key."""
        return f"http://{ADDRESS}:{self.port}/{self.key}/"

    def serve(self) -> None:
        """Answer until `stop` is called from elsewhere, or the process is interrupted."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """End `serve`."""
        self._server.shutdown()

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    shelf: Shelf
    key: str

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "cryostat", ""
    timeout = PATIENCE
    server: _Server

    def do_GET(self) -> None:
        """Answer with a body."""
        self._send(self._answer())

    def do_HEAD(self) -> None:
        """Answer without."""
        self._send(self._answer(), body=False)

    def _answer(self) -> Answer:
        if not self._meant_for_us():
            return _refusal(HTTPStatus.MISDIRECTED_REQUEST, "This server answers to 127.0.0.1 and localhost alone.")
        _, _, rest = self.path.partition("/")
        key, slash, rest = rest.partition("/")
        if not slash or not hmac.compare_digest(key.encode("utf-8", "replace"), self.server.key.encode()):
            return _refusal(HTTPStatus.FORBIDDEN, "Open the whole address that cryostat view printed.")
        try:
            return self._shown(Asked.of(f"/{rest}"))
        except MissingError:
            return _refusal(HTTPStatus.NOT_FOUND, "There is nothing at this address.")

    def _shown(self, asked: Asked) -> Answer:
        try:
            return answer(self.server.shelf, asked)
        except CryostatError as error:
            return trouble(error, asked)

    def _meant_for_us(self) -> bool:
        host = self.headers.get("Host", "")
        return host in {f"{name}:{self.server.server_address[1]}" for name in NAMES}

    def _send(self, sent: Answer, *, body: bool = True) -> None:
        self.send_response(sent.status)
        headers = {"Content-Type": sent.type, "Content-Length": str(len(sent.body)), **ALWAYS, **sent.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(sent.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Addresses are nobody's affair: they may name patients."""


def _refusal(status: HTTPStatus, text: str) -> Answer:
    return Answer(status, TYPES[".txt"], text.encode())
