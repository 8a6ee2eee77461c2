# SPDX-License-Identifier: Apache-2.0
"""Everything around the agent on the dense node, in one process that is not measured.

`python -m bench.surroundings FOLDER ENGINES` says where it all is, as one line of JSON, and ends with its standard input.
"""

import json
import sys
import threading
import time
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench import densenode
from bench.parse import PAGE, grown
from kubelet import podresources
from kubelet.api import ApiServer
from kubelet.certificates import issue

_RECORDED = PAGE.read_text().splitlines()
_BEGAN = time.monotonic()


@lru_cache(512)
def _page(growth: int) -> bytes:
    return "\n".join([*(grown(line, growth) for line in _RECORDED), ""]).encode()


class _Handler(BaseHTTPRequestHandler):
    """The engines' pages, whose numbers grow each second and differ between engines; and a receiver that takes all."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet

    def do_GET(self) -> None:
        engine = int(self.path.split("/")[2])
        self._answer(_page(1 + engine + int(time.monotonic() - _BEGAN)), "text/plain; version=0.0.4")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"", "application/x-protobuf")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # an agent that ends hangs up


def main(folder: Path, engines: int) -> None:
    """Serve until standard input ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    certificates = issue(folder)
    token = folder / "token"
    token.write_text("a-token")
    library, driver = densenode.library(folder)
    socket = folder / "kubelet.sock"
    answer = podresources.message(densenode.allocations())
    with (
        podresources.Kubelet(socket, podresources.always(answer)),
        ApiServer(certificates, pods=densenode.pods(engines, port)) as api,
    ):
        where = densenode.Places(
            str(socket), api.url, str(certificates.ca), str(token), str(library), str(driver), port
        )
        sys.stdout.write(json.dumps(where) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
