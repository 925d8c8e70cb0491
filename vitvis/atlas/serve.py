"""Look at an atlas over HTTP, on this machine alone."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from vitvis.errors import VitvisError

__all__ = ["HOST", "make_server"]

#: The loopback address: nobody else on the network reaches the server.
HOST = "127.0.0.1"


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def end_headers(self) -> None:
        """Let a page be read by no other site, and be fetched anew once the atlas is."""
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def parse_request(self) -> bool:
        """Refuse a name that isn't this machine's: a page elsewhere may have had its own resolved to it."""
        if not super().parse_request():
            return False
        name = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if name not in (HOST, "localhost"):
            self.send_error(403, "this server is for this machine")
            return False
        return True


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of a folder on the loopback address; `serve_forever` runs it.

    Args:
        folder: An atlas.
        port: 0: any that is free.

    Raises:
        VitvisError: the port is taken.
    """
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise VitvisError(f"port={port}: {error.strerror or error}; choose another, or 0 for any") from None
