# SPDX-License-Identifier: Apache-2.0
"""One node for all tests of a run, one agent on it, and a namespace for each test."""

import itertools
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from e2e import drivers, node, nvidia, runtime
from e2e.agent import Agent, grant, running
from e2e.drivers import write_gpus
from e2e.helm import Release
from e2e.images import agent_archive
from e2e.kube import wait
from e2e.node import Node
from e2e.pods import namespace
from e2e.scenes import Space
from integration.programs import MissingError, find

_NUMBERS = itertools.count(1)  # of the namespaces


@pytest.fixture(scope="session", name="node")
def _node() -> Iterator[Node]:
    """Start the node; without what it needs every test is skipped by the name of what is missing."""
    if os.geteuid() != 0:
        pytest.skip("the node's namespaces and control groups need root")
    for tool in ("gcc", "ip", "mount", "nsenter", "setpriv", "unshare"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing")
    try:
        for program in (*node.PROGRAMS, *drivers.PROGRAMS, *runtime.PROGRAMS, nvidia.PROGRAM, "helm", "prometheus"):
            find(program)
    except MissingError as error:
        pytest.skip(str(error))
    with Node() as started:
        yield started


@pytest.fixture(scope="session")
def gpus(node: Node) -> dict[str, str]:
    """The environment in which programs find the driver's library and its eight GPUs."""
    return write_gpus(node)


@pytest.fixture(scope="session")
def account(node: Node) -> str:
    """The agent's service account, with the rights of the chart's defaults."""
    return grant(node)


@pytest.fixture(scope="session")
def agent(node: Node, account: str, gpus: dict[str, str]) -> Iterator[Agent]:
    """The agent that sees the whole run."""
    with running(node, account, gpus) as started:
        yield started


@pytest.fixture
def new_agent(node: Node, account: str, gpus: dict[str, str]) -> Iterator[Agent]:
    """An agent that begins with the test, after what the test's other fixtures made."""
    with running(node, account, gpus, name="new-agent") as started:
        yield started


@pytest.fixture(scope="session")
def _runtime_class(node: Node, gpus: dict[str, str]) -> None:
    """The agent's image on the node, and the class of the runtime that brings the driver."""
    assert gpus
    node.import_image(agent_archive())
    metadata = {"name": runtime.CLASS}
    node.api.create(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": metadata, "handler": runtime.CLASS}
    )


@pytest.fixture(scope="module")
def make_release(node: Node, _runtime_class: None) -> Iterator[Callable[..., Release]]:
    """Make releases of the module's own, each in a namespace of its name; they are uninstalled when it ends."""
    releases: list[Release] = []

    def make(name: str, labels: Mapping[str, str] = MappingProxyType({})) -> Release:
        metadata = {"name": name, "labels": dict(labels)}
        node.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        releases.append(Release(node, name))
        return releases[-1]

    yield make
    for release in releases:
        release.uninstall()
        node.api.delete("Namespace", release.name)


@pytest.fixture
def make_space(node: Node) -> Iterator[Callable[..., Space]]:
    """Make namespaces of the test's own; what is in them is gone when it ends."""
    spaces: list[Space] = []

    def make(*, admin: bool = False) -> Space:
        name = f"test-{next(_NUMBERS)}"
        node.api.create(namespace(name, admin=admin))
        wait("the default service account", lambda: node.api.get("ServiceAccount", "default", name))
        spaces.append(Space(node, name))
        return spaces[-1]

    yield make
    for space in spaces:
        space.empty()


@pytest.fixture
def space(make_space: Callable[..., Space]) -> Space:
    """A namespace of the test's own."""
    return make_space()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of what every program of the node said, where a test fails."""
    report = yield
    started: Any = item.funcargs.get("node")
    if report.failed and isinstance(started, Node):
        report.sections.extend((f"log of {name}", tail) for name, tail in started.log_tails().items())
    return report
