# SPDX-License-Identifier: Apache-2.0
"""This node's pods from the kubelet itself: by its Pods API on a unix socket, or by its HTTPS port."""

import os
import ssl
from collections.abc import Mapping
from typing import Any

from inferometer import config
from inferometer.client import Client
from inferometer.credentials import trust_file
from inferometer.model import Pod, Reason, Trouble
from inferometer.sources.identity.following import MOST_PODS, Following, too_many
from inferometer.sources.identity.kubelet import KubeletSocket, Remedies
from inferometer.sources.identity.pod_list import read_pod_list
from inferometer.wire import shown

VERSIONS = ("v1", "v1beta1", "v1alpha1")  # as they may come; 1.36 and 1.37 serve the last
OVER = ("Succeeded", "Failed")  # phases in which a pod holds nothing
WATCH_TIME = 120.0  # seconds; each watch begins with every pod, so what one has missed is missed no longer
REMEDIES = Remedies(
    key="identity.pods.socket",
    missing="mount the directory of the kubelet's Pods API, which is there from Kubernetes 1.37 on",
    too_large="raise identity.pods.max_body",
    unsupported="upgrade to a kubelet with the feature PodsAPI (1.37 or newer)",
)
GRANT = 'grant a ClusterRole with apiGroups: [""], resources: ["nodes/pods"], verbs: ["get"]'


class PodsOfSocket:
    """Lists and then watches, over gRPC (KEP-4188): a `following.Way`. No API server has any part in it.

    A static pod has here the kubelet's UID of it, and at the API server that of its mirror. The kubelet gives its own
    status of a pod (pkg/kubelet/apis/pods/server.go), so the names of claims that were made from templates and the claim
    for extended resources, which others write there, are left out: `following.lacks` says so where a pod has such claims.
    """

    name = "kubelet_socket"

    def __init__(self, config: config.Pods) -> None:
        self.place = config.socket
        self.lasting = WATCH_TIME
        self._deadline = float(config.deadline)
        self._socket = KubeletSocket(config.socket, int(config.max_body), REMEDIES)
        self._version = ""

    def follow(self, following: Following) -> None:
        """List, then watch until the watch ends or breaks."""
        from inferometer.sources.identity import messages  # noqa: PLC0415  # with it comes protobuf, 3 MiB

        listed = self._list()
        try:
            serialized = messages.read_list(listed)
        except ValueError as error:
            raise self._malformed(error) from None
        if len(serialized) > MOST_PODS:
            raise too_many(self.place)
        following.lacks = ""
        told = (self._project(messages.read_pod(pod), following) for pod in serialized)
        following.replace(pod for pod in told if pod is not None)
        del listed, serialized
        unseen = following.uids()
        for event in self._socket.follow(f"/{self._version}.Pods/WatchPods", self.lasting):
            try:
                kind, serialized_pod = messages.read_event(event)
            except ValueError as error:
                raise self._malformed(error) from None
            following.lasts()
            if kind == messages.SYNCED:
                for uid in unseen:  # it went between the list and the watch
                    following.drop(uid)
                continue
            pod = self._project(messages.read_pod(serialized_pod), following)
            if pod is None:
                continue
            unseen -= {pod.uid}
            if kind == messages.DELETED:
                following.drop(pod.uid)
            elif kind in {messages.ADDED, messages.MODIFIED}:
                following.put(pod)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _list(self) -> bytes:
        """Ask in the version that this kubelet knows, the newest first."""
        for version in (self._version,) if self._version else VERSIONS:
            try:
                listed = self._socket.ask(f"/{version}.Pods/ListPods", self._deadline)
            except Trouble as trouble:
                self._version = ""  # the next kubelet may know another
                if trouble.reason is Reason.UNSUPPORTED and version != VERSIONS[-1]:
                    continue
                raise
            self._version = version
            return listed
        raise AssertionError("the last version has raised")

    def _project(self, raw: Any, following: Following) -> Pod | None:
        pod = following.project(raw)
        if pod is not None and pod.phase not in OVER:
            claims = raw.get("spec", {}).get("resourceClaims", ())
            if any(claim.get("name") not in pod.claims for claim in claims):
                following.lacks = f"it does not name the claims that pod {pod.namespace}/{pod.name} has from templates"
        return pod

    def _malformed(self, error: ValueError) -> Trouble:
        return Trouble(Reason.MALFORMED, f"{self.place}: {error}", "see whether the socket is the kubelet's")


def kubelet_url(config: config.Pods, environ: Mapping[str, str] = os.environ) -> str:
    """Give the kubelet's base URL: as configured, else the usual port of NODE_IP, else nothing."""
    host = environ.get("NODE_IP", "")
    return config.kubelet_url.rstrip("/") or (f"https://{f'[{host}]' if ':' in host else host}:10250" if host else "")


class PodsOfKubelet:
    """Polls `/pods` of the kubelet's HTTPS port: a `following.Way`. The right to `nodes/pods` is enough, never `nodes/proxy`."""

    name = "kubelet_http"

    def __init__(self, config: config.Pods, period: float, environ: Mapping[str, str] = os.environ) -> None:
        self._config = config
        self._period = period
        self._url = kubelet_url(config, environ)
        self.place = shown(self._url)
        self._client: Client | None = None
        self._closed = False

    def follow(self, following: Following) -> None:
        """Ask at each period until it fails."""
        self._client = client = self._connect()
        try:
            while not (following.ended or self._closed):
                pods, _ = read_pod_list(client, f"{self._url}/pods", following, GRANT, "identity.pods.kubelet_url")
                following.replace(pods)
                following.lasts()
                following.rest(self._period)
        finally:
            client.close()

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        if self._client is not None:
            self._client.close()

    def _connect(self) -> Client:
        if not self._url:
            remedy = "set identity.pods.kubelet_url, or NODE_IP from status.hostIP"
            raise Trouble(Reason.MISSING, "pods: the kubelet's address is not known", remedy)
        secure = self._url.startswith("https:")
        return Client(
            deadline=float(self._config.deadline),
            max_body=int(self._config.max_body),
            trust=self._trust() if secure else None,
            token_file=self._config.token_file if secure else "",  # never in the clear
        )

    def _trust(self) -> ssl.SSLContext | None:
        if self._config.kubelet_insecure_tls:
            trust = ssl.create_default_context()
            trust.check_hostname = False
            trust.verify_mode = ssl.CERT_NONE
            return trust
        ca_file = self._config.kubelet_ca_file or self._config.ca_file
        return trust_file(ca_file) if ca_file else None
