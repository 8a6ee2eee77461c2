# SPDX-License-Identifier: Apache-2.0
"""From the packaged chart 0.1.0 to this one and back: what waits to be pushed is kept on the node, and comes when it can.

And from this chart to itself: the agent's own counters go on.
"""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml

from charts import CHART, ROOT
from e2e.helm import Release
from e2e.installed_agent import Installed, values_on
from e2e.kube import wait
from e2e.node import ADDRESS, Node
from otlp_receiver import HttpReceiver
from whole.pages import values

FIRST = ROOT / "tests" / "fixtures" / "charts" / "inferometer-0.1.0.tgz"
KEPT = "/var/lib/inferometer"  # a directory of the node's
PORT = 4318
PUSH = {"endpoint": f"http://{ADDRESS}:{PORT}", "interval": "1s"}
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]


@pytest.fixture
def release(node: Node, make_release: Callable[..., Release]) -> Release:
    """A release of 0.1.0, which had its spool in a directory of the node's by a volume of the user's own."""
    release = make_release("upgraded")
    first = values_on(node, config={"otlp": {**PUSH, "spool": {"directory": f"{KEPT}/spool"}}})
    first["extraVolumes"].append({"name": "kept", "hostPath": {"path": KEPT, "type": "DirectoryOrCreate"}})
    first["extraVolumeMounts"].append({"name": "kept", "mountPath": KEPT})
    release.install(first, chart=FIRST)
    return release


@pytest.fixture
def receiver(node: Node) -> Iterator[Callable[[], HttpReceiver]]:
    """Start a receiver of pushes on the node, when it is wanted."""
    started: list[HttpReceiver] = []

    def start() -> HttpReceiver:
        started.append(node.namespaces.call(HttpReceiver, PORT, address=ADDRESS))
        return started[-1]

    yield start
    for each in started:
        each.close()


def waiting(node: Node) -> set[str]:
    """Give the records of the spool."""
    return {*node.finish(("find", f"{KEPT}/spool", "-name", "*.otlp")).stdout.split()}


def counted(request: Any) -> Iterator[tuple[int, int]]:
    """Give start and time of each point of a counter, in nanoseconds."""
    for resource in request.resource_metrics:
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            yield from ((point.start_time_unix_nano, point.time_unix_nano) for point in metric.sum.data_points)


def test_what_waits_is_kept_and_comes(node: Node, release: Release, receiver: Callable[[], HttpReceiver]) -> None:
    """An upgrade and a rollback lose nothing of the spool; each pod's counters begin anew, and say so by their start."""
    first = wait("pushes to wait", lambda: len(waiting(node)) > 1 and waiting(node))
    upgraded = time.time_ns()
    release.upgrade(values_on(node, config={"otlp": PUSH}, persistence={"hostPath": KEPT}))
    second = wait("pushes of the new pod to wait", lambda: waiting(node) > first and waiting(node))
    release.roll_back(1)
    assert wait("pushes of the old chart to wait", lambda: waiting(node) > second)
    assert [chart.rpartition("-")[2] for _, chart, _ in release.history()] == ["0.1.0", VERSION, "0.1.0"]

    got = receiver()
    wait("all of it to come", lambda: got.received and not waiting(node))
    points = [point for each in got.received for point in counted(each.request)]
    assert min(at for _, at in points) < upgraded
    assert len({start for start, _ in points}) >= 3
    # Whoever uninstalls finds the directory where it was named.
    release.uninstall()
    assert KEPT in node.finish(("find", KEPT)).stdout.split()


def owned(agent: Installed) -> dict[tuple[str | None, ...], tuple[float, float]]:
    """Give when the time of each device's owners, or of nobody, began to count, and how much it is."""
    page = agent.page()
    labels = ("hw_id", "k8s_pod_uid", "attribution")
    began = values(page, "gpu_owner_time_seconds_created", *labels)
    return {key: (began[key], total) for key, total in values(page, "gpu_owner_time_seconds_total", *labels).items()}


def test_counters_go_on_in_the_next_pod(node: Node, make_release: Callable[..., Release]) -> None:
    """An upgrade and a rollback end one agent and start another, which goes on from what the first has told."""
    release = make_release("counting")
    kept = values_on(
        node,
        config={"server": {"listen": ":9466", "created_timestamps": True}},
        persistence={"hostPath": f"{KEPT}-counting"},
    )
    release.install(kept)
    agent = Installed(node, "counting")
    seen = [wait("owners' time", lambda: owned(agent))]
    release.upgrade({**kept, "podAnnotations": {"example.com/another": "pod"}})
    seen.append(wait("the same owners", lambda: seen[0].keys() <= (now := owned(agent)).keys() and now))
    release.roll_back(1)
    seen.append(wait("the same owners", lambda: seen[1].keys() <= (now := owned(agent)).keys() and now))

    for before, after in pairwise(seen):
        for key, (began, total) in before.items():
            assert after[key][0] == began
            assert after[key][1] >= total
