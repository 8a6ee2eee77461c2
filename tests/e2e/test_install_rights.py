# SPDX-License-Identifier: Apache-2.0
"""What the installed agent may ask the API server: each rule of its ClusterRole removed in turn, and each tier of rights.

Pods come by the API server here: a kubelet that has the Pods socket tells of them without any right.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from e2e.helm import Release
from e2e.installed_agent import Installed, values_on
from e2e.kube import eventually, wait
from e2e.node import Node
from e2e.nvidia import NVIDIA, a_class, claim_driver
from e2e.pods import claim, container, namespace, pod, request
from e2e.scenes import Space, agreed
from e2e.truth import Held, told
from whole.pages import values

BY_API = {"identity": {"pods": {"source": "api"}}}


@pytest.fixture(scope="module", name="release")
def _release(node: Node, gpus: dict[str, str], make_release: Callable[..., Release]) -> Iterator[Release]:
    with claim_driver(node, gpus), a_class(node):
        release = make_release("rights")
        release.install(values_on(node, config=BY_API))
        yield release


@pytest.fixture(scope="module")
def installed(node: Node, release: Release) -> Installed:
    """The agent of that release."""
    return Installed(node, release.name)


@pytest.fixture(scope="module")
def held(node: Node, installed: Installed) -> Iterator[set[Held]]:
    """One GPU of an owner, and one that another pod watches: what the agent tells of them with all its rights."""
    node.api.create(namespace("test-owned"))
    node.api.create(namespace("test-watched", admin=True))
    with Space(node, "test-owned") as owned, Space(node, "test-watched") as watched:
        owned.make(claim("one", request("gpu", NVIDIA)))
        watched.make(claim("one", request("gpu", NVIDIA, adminAccess=True)))
        for space in (owned, watched):
            space.start(pod("holder", container(claims=[{"name": "g"}]), claims={"g": "one"}))
        yield agreed(node, installed, 2)


@contextmanager
def without(node: Node, release: Release, resource: str) -> Iterator[None]:
    """Have the installed role without its rule for a resource."""
    role = node.api.get("ClusterRole", f"{release.name}-{release.name}-inferometer")
    metadata = {key: value for key, value in role["metadata"].items() if key != "resourceVersion"}
    kept = [rule for rule in role["rules"] if resource not in rule["resources"]]
    assert len(kept) == len(role["rules"]) - 1
    node.api.replace({**role, "metadata": metadata, "rules": kept})
    try:
        yield
    finally:
        node.api.replace({**role, "metadata": metadata})


@pytest.mark.parametrize(
    ("resource", "source", "lost", "rule"),
    [
        pytest.param(
            "pods", "pods", {"uid"}, 'apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"]', id="pods"
        ),
        pytest.param(
            "resourceclaims",
            "claims",
            {"request", "role"},
            'apiGroups: ["resource.k8s.io"], resources: ["resourceclaims"], verbs: ["get"]',
            id="claims",
        ),
        # The devices of NVIDIA's driver are known by their names too.
        pytest.param(
            "resourceslices",
            "slices",
            set(),
            'apiGroups: ["resource.k8s.io"], resources: ["resourceslices"], verbs: ["list"]',
            id="slices",
        ),
    ],
)
def test_each_rule_is_needed_and_missed_by_name(
    node: Node,
    release: Release,
    installed: Installed,
    held: set[Held],
    resource: str,
    source: str,
    lost: set[str],
    rule: str,
) -> None:
    """An agent that starts without the rule goes on, loses what only this tells, and says which rule to grant."""
    with without(node, release, resource):
        installed.restart()

        def check() -> None:
            page = installed.page()
            up = values(page, "inferometer_source_up", "inferometer_source_name")
            assert [name for (name,), value in up.items() if value == 0] == [source]
            assert told(page) == {_less(each, lost) for each in held}

        eventually(check)
        wait("the remedy", lambda: installed.found(source)["remedy"] == f"grant a ClusterRole with {rule}")
        wait("the log to say so", lambda: f"WARNING inferometer.board: {source}: " in installed.log())


def test_an_agent_that_has_its_rights_again_tells_all_again(node: Node, installed: Installed, held: set[Held]) -> None:
    """Without a restart: a source that was refused is asked again."""
    assert agreed(node, installed, len(held)) == held


def _less(held: Held, fields: set[str]) -> Held:
    """Give a holding as it is told without some of its fields; a role that is not known is told as that."""
    return held._replace(**{field: "unknown" if field == "role" else None for field in fields})


def test_without_claims_admin_access_cannot_be_told_from_ownership(
    node: Node, release: Release, installed: Installed, held: set[Held]
) -> None:
    """The tier `node` is what is left without that rule: no source is down, and check says what is off and why."""
    release.upgrade(values_on(node, config=BY_API, rbac={"tier": "node"}), "--force-conflicts")

    def check() -> None:
        page = installed.page()
        assert {name for (name,) in values(page, "inferometer_source_up", "inferometer_source_name")} == {
            "nvidia",
            "podresources",
            "pods",
        }
        assert {each.role for each in told(page)} == {"unknown"}
        assert {each.uid for each in told(page)} == {each.uid for each in held}

    eventually(check)


def test_the_tier_local_has_no_token_and_asks_nobody(
    node: Node, release: Release, installed: Installed, held: set[Held]
) -> None:
    """No role, no token in the pod; the kubelet of this Kubernetes tells which pods there are all the same."""
    release.upgrade(values_on(node, rbac={"tier": "local"}))
    roles = {role["metadata"]["name"] for role in node.api.list("ClusterRole")}
    assert not any(role.startswith(release.name) for role in roles)
    assert "/var/run/secrets/kubernetes.io/serviceaccount" not in installed.inside()["mounts"]

    def check() -> None:
        page = installed.page()
        assert {each.uid for each in told(page)} == {each.uid for each in held}
        assert {each.role for each in told(page)} == {"unknown"}

    eventually(check)
