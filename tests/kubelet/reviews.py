# SPDX-License-Identifier: Apache-2.0
"""A small API server over HTTPS that reviews tokens and access as a real one does, with faults.

Source: authentication.k8s.io/v1 TokenReview and authorization.k8s.io/v1 SubjectAccessReview of Kubernetes 1.36: answers
have status 201 and repeat the object with its `status`.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from kubelet.certificates import Certificates
from kubelet.secured import Secured

OWN_AUDIENCE = "https://kubernetes.default.svc"


class ReviewServer(Secured):
    """Knows tokens and what their users may.

    Args:
        certificates: that it shows.
        token: of those who may ask it.

    Attributes:
        users: token -> user.
        audiences: token -> those that it is for; its own where nothing is said.
        readers: users that may get /metrics.
        fault: a status to answer with, or `hang`, `html`, `cut`; None is none.
        asked: the reviews that were asked for, as (kind, spec).
    """

    def __init__(self, certificates: Certificates, token: str = "a-token") -> None:
        self.token = token
        self.users: dict[str, str] = {}
        self.audiences: dict[str, list[str]] = {}
        self.readers: set[str] = set()
        self.fault: int | str | None = None
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.released = threading.Event()  # ends what hangs
        reviews = self

        class Handler(_Handler):
            server_reviews = reviews

        super().__init__(certificates, Handler)

    def count(self, kind: str) -> int:
        """How many reviews of a kind were asked for."""
        return sum(asked == kind for asked, _ in self.asked)

    def review(self, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        """Give the status of a review."""
        if kind == "TokenReview":
            user = self.users.get(spec["token"])
            wanted = spec.get("audiences") or [OWN_AUDIENCE]
            meant = [each for each in self.audiences.get(spec["token"], [OWN_AUDIENCE]) if each in wanted]
            if user is None or not meant:
                return {"user": {}, "error": "invalid bearer token"}
            groups = ["system:serviceaccounts", "system:authenticated"]
            told = {"username": user, "uid": f"uid-of-{user}", "groups": groups, "extra": {"node": ["n1"]}}
            return {"authenticated": True, "user": told, "audiences": meant}
        wanted = spec["nonResourceAttributes"]
        allowed = spec["user"] in self.readers and wanted == {"path": "/metrics", "verb": "get"}
        return {"allowed": allowed, "reason": "" if allowed else "no RBAC policy matched"}

    def close(self) -> None:
        """End what hangs, and let nobody in any more."""
        self.released.set()
        super().close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_reviews: ReviewServer
    timeout = 60

    def log_message(self, *_arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        reviews = self.server_reviews
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reviews.asked.append((asked["kind"], asked["spec"]))
        fault = reviews.fault
        if fault == "hang":
            reviews.released.wait(60)
            self.close_connection = True
        elif fault == "cut":
            self.close_connection = True
        elif fault == "html":
            self._answer(200, b"<html>Sign in</html>")
        elif isinstance(fault, int):
            self._answer(fault, json.dumps({"kind": "Status", "code": fault}).encode())
        elif self.headers.get("Authorization") != f"Bearer {reviews.token}":
            self._answer(401, b"{}")
        elif self.path.rpartition("/")[2] != f"{asked['kind'].lower()}s":
            self._answer(404, b"{}")
        elif asked["spec"].get("token", "x") in {"", "odd"}:  # a real one refuses the empty one so
            self._answer(400, b"{}")
        else:
            self._answer(201, json.dumps({**asked, "status": reviews.review(asked["kind"], asked["spec"])}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
