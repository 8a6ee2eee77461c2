# SPDX-License-Identifier: Apache-2.0
"""The API server as the tests ask it: JSON over HTTPS from within the node's network, as the administrator."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from e2e.namespaces import Namespaces

T = TypeVar("T")

Object = Mapping[str, Any]

_TIMEOUT = 30.0
PATIENCE = 120.0  # seconds; only what will never be takes so long

# Where objects live: API version and plural name of each kind that the tests make.
_KINDS = {
    "Namespace": ("v1", "namespaces"),
    "Pod": ("v1", "pods"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Service": ("v1", "services"),
    "ConfigMap": ("v1", "configmaps"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "RuntimeClass": ("node.k8s.io/v1", "runtimeclasses"),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "DeviceClass": ("resource.k8s.io/v1", "deviceclasses"),
    "ResourceClaim": ("resource.k8s.io/v1", "resourceclaims"),
    "ResourceClaimTemplate": ("resource.k8s.io/v1", "resourceclaimtemplates"),
    "ResourceSlice": ("resource.k8s.io/v1", "resourceslices"),
    "Node": ("v1", "nodes"),
}


class ApiError(Exception):
    """The API server refused; `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


# What is not yet, or just not any more: refused, nobody listens, hung up amid an answer.
UNANSWERED = (ApiError, OSError, http.client.HTTPException)


class Api:
    """An API server at a port of the node's loopback."""

    def __init__(self, namespaces: Namespaces, port: int, trust: ssl.SSLContext, token: str) -> None:
        self._namespaces = namespaces
        self._port = port
        self._trust = trust
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask once; gives the JSON of the answer, or its text. Raises ApiError, and OSError where nobody listens."""
        return self._namespaces.call(self._ask, method, path, body)

    def create(self, thing: Object) -> Any:
        """Make an object."""
        return self.ask("POST", _path(thing["kind"], thing["metadata"].get("namespace", "")), thing)

    def get(self, kind: str, name: str, namespace: str = "") -> Any:
        """Read an object. Raises ApiError (404)."""
        return self.ask("GET", f"{_path(kind, namespace)}/{name}")

    def list(self, kind: str, namespace: str = "") -> list[Any]:
        """Read all objects of a kind, of a namespace or of all."""
        items: list[Any] = self.ask("GET", _path(kind, namespace))["items"]
        return items

    def replace(self, thing: Object) -> Any:
        """Put an object in the place of the one of its name."""
        metadata = thing["metadata"]
        return self.ask("PUT", f"{_path(thing['kind'], metadata.get('namespace', ''))}/{metadata['name']}", thing)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object; one that is not there is deleted. A pod is there until its kubelet has ended it."""
        try:
            self.ask("DELETE", f"{_path(kind, namespace)}/{name}")
        except ApiError as error:
            if error.status != 404:
                raise

    def token(self, account: str, namespace: str) -> str:
        """Ask for a token of a service account."""
        path = f"{_path('ServiceAccount', namespace)}/{account}/token"
        request = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}}
        told: str = self.ask("POST", path, request)["status"]["token"]
        return told

    def _ask(self, method: str, path: str, body: object) -> Any:
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=_TIMEOUT, context=self._trust)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            answer = connection.getresponse()
            said = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise ApiError(answer.status, said[:1000])
        return json.loads(said) if said.startswith("{") else said


def wait(what: str, is_so: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Ask until the answer is true, and give it. The API server's refusals count as not yet."""
    end = time.monotonic() + patience
    while True:
        last: object
        try:
            last = is_so()
            if last:
                return last
        except UNANSWERED as error:
            last = error
        assert time.monotonic() < end, f"{what}: not within {patience:.0f} s; at last {last!r}"
        time.sleep(0.1)


def eventually(check: Callable[[], T], patience: float = PATIENCE) -> T:
    """Check until nothing is wrong, and give what it gives; a page lacks what was not read in time where the machine stalls."""
    end = time.monotonic() + patience
    while True:
        try:
            return check()
        except (AssertionError, LookupError, *UNANSWERED):
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def _path(kind: str, namespace: str) -> str:
    version, plural = _KINDS[kind]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{base}/namespaces/{namespace}/{plural}" if namespace else f"{base}/{plural}"
