# SPDX-License-Identifier: Apache-2.0
"""A webhook receiver as Alertmanager's `webhook_configs` calls one: it keeps what it is sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class Webhook:
    """Listens from `with` to its end; `received` are the notifications in the order they came."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append(json.loads(body) | {"path": self.path})
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class' name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens; any path below it is taken and kept as `path`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def alerts(self, name: str, status: str) -> list[dict[str, Any]]:
        """The notified alerts of a name that were `firing` or `resolved` when they were sent."""
        return [
            alert
            for notification in list(self.received)
            for alert in notification["alerts"]
            if alert["labels"].get("alertname") == name and alert["status"] == status
        ]

    def status(self, name: str, **labels: str) -> str:
        """What was notified last of the alerts of a name whose labels have these texts in them; nothing: none was.

        An alert whose series are missed for a moment ends and fires again, so that each of both may come more than once.
        """
        said = [
            alert["status"]
            for notification in list(self.received)
            for alert in notification["alerts"]
            if alert["labels"].get("alertname") == name
            and all(text in alert["labels"].get(label, "") for label, text in labels.items())
        ]
        return said[-1] if said else ""
