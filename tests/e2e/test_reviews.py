# SPDX-License-Identifier: Apache-2.0
"""Tokens at /metrics, reviewed by a real API server: whose they are, and what RBAC lets them see."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import SERVICE_UNAVAILABLE

import pytest

from e2e.agent import NAMESPACE, Agent, running
from e2e.kube import wait
from e2e.node import Node

_RBAC = "rbac.authorization.k8s.io"
SCRAPER, STRANGER = "scraper", "stranger"


def status_with(agent: Agent, token: str) -> int:
    """Ask for the page with a token until somebody has decided about it; gives the status."""

    def ask() -> int:
        request = urllib.request.Request(f"{agent.url}/metrics", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def decided() -> int:
        status = agent.namespaces.call(ask)
        return 0 if status == SERVICE_UNAVAILABLE else status  # the API server did not answer in time

    return int(wait("a decision", decided))


def bind(node: Node, name: str, role: str, account: str) -> None:
    """Give a service account a role, everywhere."""
    node.api.create(
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
        }
    )


@pytest.fixture
def guarded(node: Node, account: str, gpus: dict[str, str]) -> Iterator[Agent]:
    """An agent that has tokens reviewed, a service account that may see its page, and one that may not."""
    made = [("ServiceAccount", SCRAPER), ("ServiceAccount", STRANGER), ("ClusterRole", "see-metrics")]
    for kind, name in made[:2]:
        node.api.create({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}})
    rules = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    role = {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "see-metrics"}, "rules": rules}
    node.api.create(role)
    bind(node, "scraper-sees-metrics", "see-metrics", SCRAPER)
    bind(node, "agent-reviews-tokens", "system:auth-delegator", account)
    made += [("ClusterRoleBinding", "scraper-sees-metrics"), ("ClusterRoleBinding", "agent-reviews-tokens")]
    try:
        with running(node, account, gpus, name="guarded", auth={"token_review": True}) as agent:
            yield agent
    finally:
        for kind, name in made:
            node.api.delete(kind, name, NAMESPACE if kind == "ServiceAccount" else "")


def test_a_service_account_sees_the_page_by_rbac(node: Node, guarded: Agent) -> None:
    """Who may get /metrics does, who may not is told so until a role lets them, and what is no token is nobody's."""
    scraper, stranger = (node.api.token(name, NAMESPACE) for name in (SCRAPER, STRANGER))

    wait("the scraper to be served", lambda: status_with(guarded, scraper) == 200)
    assert status_with(guarded, stranger) == 403
    assert status_with(guarded, scraper[:-8]) == 401
    assert status_with(guarded, "") == 401
    bind(node, "stranger-sees-metrics", "see-metrics", STRANGER)
    try:
        wait("the stranger to be served", lambda: status_with(guarded, stranger) == 200)
    finally:
        node.api.delete("ClusterRoleBinding", "stranger-sees-metrics")
