# SPDX-License-Identifier: Apache-2.0
"""What is asked of the API server: named as RBAC does, counted, and limited."""

import pytest

from inferometer.sources.identity.traffic import Traffic, what_is_asked


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", ("list", "pods")),
        ("/api/v1/pods?watch=true&resourceVersion=7", ("watch", "pods")),
        ("/api/v1/nodes/n1", ("get", "nodes")),
        ("/apis/resource.k8s.io/v1/namespaces/api/resourceclaims/watch", ("get", "resourceclaims")),
        ("/apis/resource.k8s.io/v1/resourceslices?resourceVersion=0", ("list", "resourceslices")),
        ("/k8s/clusters/c-1/api/v1/pods", ("list", "pods")),
        ("/version", ("list", "version")),
        ("/pods", ("list", "pods")),
        ("/api", ("list", "")),
        ("", ("list", "")),
    ],
)
def test_requests_are_named_by_verb_and_resource(path: str, asked: tuple[str, str]) -> None:
    """So that a bill can be compared with the API server's own metrics."""
    assert what_is_asked(f"https://10.0.0.1:443{path}") == asked


def test_requests_and_bytes_are_counted() -> None:
    """A stream is one request, its bytes come later."""
    traffic = Traffic()
    traffic.count("https://h/api/v1/pods?watch=true", 1, 200)
    traffic.count("https://h/api/v1/pods?watch=true", 0, 300)
    traffic.count("https://h/api/v1/pods", 1, 7)

    assert traffic.counts == {("watch", "pods"): (1, 500), ("list", "pods"): (1, 7)}


def test_the_allowance_is_five_a_second_and_fifty_at_once() -> None:
    """A clock that goes back gives nothing and takes nothing."""
    now = 0.0
    traffic = Traffic(1.0, lambda: now)

    def granted() -> int:
        return sum(traffic.may_ask() for _ in range(200))

    assert granted() == 50
    now = 1.0
    assert granted() == 5
    now = 100.0
    assert granted() == 50
    now = 50.0
    assert granted() == 0
    now = 51.0
    assert granted() == 5


def test_who_comes_round_rarely_may_ask_more_at_once() -> None:
    """The average is what counts: a hundred each twenty seconds."""
    traffic = Traffic(20.0, lambda: 0.0)
    assert sum(traffic.may_ask() for _ in range(200)) == 100
