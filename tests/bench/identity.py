# SPDX-License-Identifier: Apache-2.0
"""What it costs to know who holds what: the join, the memory of the sources, and what an agent asks of the API server."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

from bench import manypods
from bench.joining import measure_join
from bench.measure import MissingPartError, Row
from bench.memory import held
from inferometer.sources.identity import pods_api, refreshing, slices
from kubelet import podresources
from kubelet.api import ApiServer
from kubelet.certificates import issue

PODS = 250  # on the node whose memory is measured
LIVES = 20  # pods that come and go while the API server's load is measured
PATIENCE = 60.0

# The cluster that the load is for: each of its nodes has so many pods with a claim each, which live for an hour.
NODES, HOLDERS = 5_000, 10
# What a watch shows of one pod's life: bound, the status as it changes, the end, and that it is gone; and of a claim's: made,
# allocated, reserved and given back. BOOKMARKS an hour: the API server sends one about each minute.
_PHASES = ("Pending", "Pending", "Running", "Running", "Running")
POD_EVENTS, CLAIM_EVENTS, BOOKMARKS = len(_PHASES) + 1, 4, 60


def measure() -> Iterator[Row]:
    """Measure the join first; then the sources in a process of their own, against a kubelet and an API server over HTTPS."""
    yield from measure_join()
    yield _memory()
    yield from _load()


def _memory() -> Row:
    """Measure what the sources hold above what they import, the most of twenty rounds in which pods come and go."""
    with _node(PODS) as node:
        floor = held([node.pid])
        node.read_all()
        most = held([node.pid])
        for i in range(20):
            node.replace(i, PODS + i)
            node.read_all()
            most = max(most, held([node.pid]))
    return Row("identity.memory", most - floor, "MiB", goal=15, limit=15)


class Asked(NamedTuple):
    """Requests to the API server and the bytes of their answers."""

    requests: float
    received: float

    def __add__(self, other: tuple[float, ...]) -> "Asked":  # type: ignore[override]  # it is a vector, not a sequence
        return Asked(self.requests + other[0], self.received + other[1])

    def times(self, number: float) -> "Asked":
        """Give so many of it."""
        return Asked(self.requests * number, self.received * number)


def _load() -> Iterator[Row]:
    """Measure a start and a pod's life; reckon an hour from them and from the periods after which the sources ask again."""
    with _node(HOLDERS) as node:
        node.read_all()
        start = node.asked()
        sizes = {kind: counted.times(1 / counted.requests) for kind, counted in node.counts().items()}
        begun = node.asked()
        for i in range(LIVES):
            node.live(i, HOLDERS + i)
        life = (node.asked() + begun.times(-1)).times(1 / LIVES)
        before = node.asked()
        node.bookmark()
        bookmark = node.asked() + before.times(-1)
    hour = life.times(HOLDERS)
    hour += sizes["get resourceclaims"].times(HOLDERS * 3600 / mean(refreshing.AGE))
    hour += sizes["list resourceslices"].times(3600 / mean(slices.AGE))
    hour += Asked(3600 / mean(pods_api.WATCH_TIME), 0)
    hour += bookmark.times(BOOKMARKS)
    pod, claim, slice_ = (sizes[kind].received for kind in ("pod", "get resourceclaims", "list resourceslices"))
    all_objects = NODES * (HOLDERS * (pod + claim) + slice_)
    all_events = NODES * HOLDERS * (POD_EVENTS * pod + CLAIM_EVENTS * claim)
    yield Row("identity.api.pod", pod, "By")
    yield Row("identity.api.claim", claim, "By")
    yield Row("identity.api.slice", slice_, "By")
    yield Row("identity.api.start.requests", start.requests, "requests")
    yield Row("identity.api.start.received", start.received, "By", all_objects, f"all objects of {NODES} nodes")
    yield Row("identity.api.life.requests", life.requests, "requests for a pod's life")
    yield Row("identity.api.life.received", life.received, "By for a pod's life")
    yield Row("identity.api.hour.requests", hour.requests, "requests an hour")
    yield Row("identity.api.hour.received", hour.received, "By an hour", all_events, f"watching {NODES} nodes")


class _Node:
    """A kubelet, an API server, and the identity side that reads them."""

    def __init__(self, folder: Path, pods: int) -> None:
        certificates = issue(folder)
        (folder / "token").write_text("a-token")
        self._pods = list(range(pods))
        self._api = ApiServer(certificates, pods=tuple(manypods.pod(i) for i in self._pods))
        self._api.slices = [manypods.SLICE]
        for i in self._pods:
            self._api.put_claim(manypods.claim(i))
        self._kubelet = podresources.Kubelet(folder / "kubelet.sock", podresources.always(self._listed()))
        file = folder / "inferometer.yaml"
        file.write_text(json.dumps(_configuration(folder, self._api.url, certificates.ca)))
        command = [sys.executable, "-m", "bench.identityside", str(file)]
        self._side = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._side.pid
        self._hear()
        self._told: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._side.communicate("")
        self._kubelet.close()
        self._api.close()

    def read_all(self) -> None:
        """Let it read until it knows everything."""
        wanted = {"podresources": 4 * len(self._pods), "pods": len(self._pods), "claims": len(self._pods)}
        wanted["slices"] = manypods.DEVICES
        until = time.monotonic() + PATIENCE
        self._read()  # what was known before may have been as much
        self._read()
        while not wanted.items() <= self._told.get("read", {}).items():
            if time.monotonic() > until:
                raise MissingPartError(f"{self._told} was read where {wanted} is to be known")
            self._read()

    def replace(self, gone: int, come: int) -> None:
        """End one pod and start another one."""
        self._end(gone)
        self._api.put_claim(manypods.claim(come))
        self._api.put(manypods.pod(come))
        self._pods.append(come)
        self._kubelet.answer = podresources.always(self._listed())

    def live(self, gone: int, come: int) -> None:
        """End one pod and start another one, with all the events of a life, and what is then asked."""
        pod = manypods.pod(come)
        self._api.put_claim(manypods.claim(come))
        for phase in _PHASES:
            self._api.put({**pod, "status": {**pod["status"], "phase": phase}})
            self._read()
        self._end(gone)
        self._pods.append(come)
        self._kubelet.answer = podresources.always(self._listed())
        self.read_all()

    def bookmark(self) -> None:
        """Let the API server send a bookmark, and wait until it has come."""
        before, until = self.asked(), time.monotonic() + PATIENCE
        self._api.bookmark()
        while self.asked() == before and time.monotonic() < until:
            self._read()

    def counts(self) -> dict[str, Asked]:
        """Give what has been asked, by verb and resource; and `pod`: what one pod of a list is."""
        counts = {kind: Asked(*counted) for kind, counted in self._told["asked"].items()}
        return {**counts, "pod": Asked(1, counts["list pods"].received / len(self._pods))}

    def asked(self) -> Asked:
        """Give what has been asked in all."""
        return sum((Asked(*counted) for counted in self._told["asked"].values()), start=Asked(0, 0))

    def _end(self, gone: int) -> None:
        self._pods.remove(gone)
        self._api.delete(f"chat-{gone}")

    def _listed(self) -> bytes:
        return podresources.message(manypods.allocations(self._pods))

    def _read(self) -> None:
        assert self._side.stdin is not None
        self._side.stdin.write("\n")
        self._side.stdin.flush()
        self._told = self._hear()

    def _hear(self) -> Mapping[str, Any]:
        assert self._side.stdout is not None
        line = self._side.stdout.readline()
        if not line:
            raise MissingPartError("the identity side did not start")
        told: Mapping[str, Any] = json.loads(line)
        return told


@contextmanager
def _node(pods: int) -> Iterator[_Node]:
    with TemporaryDirectory() as scratch, _Node(Path(scratch), pods) as node:
        yield node


def _configuration(folder: Path, api: str, ca: Path) -> Mapping[str, Any]:
    pods = {"source": "api", "server": api, "ca_file": str(ca), "token_file": str(folder / "token")}
    return {
        "node": {"name": manypods.NODE},
        "identity": {
            "podresources": {"socket": str(folder / "kubelet.sock")},
            "pods": pods,
            "claims": {"source": "api"},
        },
    }
