# SPDX-License-Identifier: Apache-2.0
"""The chart's ways to the driver but the runtime class: a claim with admin access, and the driver's own folder on the node."""

import re
from collections.abc import Callable, Iterator

import pytest

from e2e.drivers import GPUS, RESOURCE, device_plugin, root_of
from e2e.helm import HelmError, Release
from e2e.installed_agent import Installed, values_on
from e2e.kube import wait
from e2e.node import Node
from e2e.nvidia import NVIDIA, a_class, claim_driver
from e2e.pods import claim, container, pod, request
from e2e.scenes import Space, agreed
from whole.pages import values

UUIDS = {gpu.uuid for gpu in GPUS}
LABEL = "resource.kubernetes.io/admin-access"


@pytest.fixture
def _claims(node: Node, gpus: dict[str, str]) -> Iterator[None]:
    with claim_driver(node, gpus), a_class(node):
        yield


@pytest.fixture
def watching(node: Node, _claims: None, make_release: Callable[..., Release]) -> Iterator[Installed]:
    """The agent of a release whose claim watches every GPU."""
    release = make_release("watching", {LABEL: "true"})
    release.install(values_on(node, gpuAccess={"mode": "dra"}))
    yield Installed(node, release.name)
    release.uninstall()
    wait("its claim to be gone", lambda: not node.api.list("ResourceClaim", release.name))


def test_a_claim_with_admin_access_shows_every_gpu_and_takes_none(
    node: Node, watching: Installed, space: Space
) -> None:
    """NVIDIA's driver of claims brings library and devices; others claim all the same GPUs, and are their owners."""
    wait("every GPU", lambda: {uuid for (uuid,) in values(watching.page(), "gpu_info", "hw_id")} == UUIDS)
    space.make(claim("every", request("gpus", NVIDIA, allocationMode="All")))
    space.start(pod("greedy", container(claims=[{"name": "g"}]), claims={"g": "every"}))

    held = agreed(node, watching, 16)
    assert {h.device for h in held if (h.pod, h.role) == ("greedy", "owner")} == UUIDS
    assert {h.role for h in held if h.namespace == "watching"} == {"admin"}
    space.empty()
    assert {h.namespace for h in agreed(node, watching, 8)} == {"watching"}


def test_a_namespace_that_allows_no_admin_access_is_told_of(node: Node, make_release: Callable[..., Release]) -> None:
    """Helm refuses to install what the API server would refuse, with the command that mends it."""
    release = make_release("unlabelled")
    with pytest.raises(HelmError, match=re.escape(f"kubectl label namespace unlabelled {LABEL}=true")):
        release.install(values_on(node, gpuAccess={"mode": "dra"}), "--timeout=5s")


def test_the_drivers_folder_shows_every_gpu(
    node: Node, gpus: dict[str, str], make_release: Callable[..., Release], space: Space
) -> None:
    """Library and device files of the node's, without a container runtime of NVIDIA's."""
    release = make_release("folder")
    release.install(values_on(node, gpuAccess={"mode": "hostPath", "driverRoot": str(root_of(node))}))
    installed = Installed(node, release.name)
    wait("every GPU", lambda: {uuid for (uuid,) in values(installed.page(), "gpu_info", "hw_id")} == UUIDS)
    with device_plugin(node, gpus):
        space.start(pod("one", container(resources={RESOURCE: 1})))
        assert {held.pod for held in agreed(node, installed, 1)} == {"one"}
