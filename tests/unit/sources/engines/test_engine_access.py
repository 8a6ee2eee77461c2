# SPDX-License-Identifier: Apache-2.0
"""Who may use which credentials: a target the one that it names, a pod only what is for its namespace."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer import config
from inferometer.model import Pod, Port
from inferometer.sources.engines.access import accesses, problem_of
from inferometer.sources.engines.discovery import discover

TOKEN = config.Credentials(name="gateway", token_file="/secret/token")


def pod(credentials: str, namespace: str = "serving", **more: Any) -> Pod:
    return Pod(
        f"u-{namespace}",
        namespace,
        "p",
        phase="Running",
        ip=f"10.0.0.{len(namespace)}",
        ports=(Port("c", "", 8000),),
        annotations={"inferometer/credentials": credentials, "inferometer/port": "8000"},
        **more,
    )


def chosen(settings: config.Engines, *pods: Pod) -> list[tuple[str, str]]:
    return [(target.instance, target.credentials) for target in discover(settings, pods).targets]


def test_a_target_uses_the_entry_that_it_names() -> None:
    """Whatever namespaces the entry is for."""
    target = config.TargetConfig(url="https://h/metrics", credentials="gateway")
    assert chosen(config.Engines(targets=(target,), credentials=(TOKEN,))) == [("h:443", "gateway")]


def test_a_target_without_its_entry_is_refused_and_not_asked_without() -> None:
    """A name that is misspelt must not become a request in the clear."""
    target = config.TargetConfig(url="https://h/metrics", credentials="gatway")
    found = discover(config.Engines(targets=(target,), credentials=(TOKEN,)), ())
    assert found.targets == ()
    assert found.refused[0].place == "engines.targets[0]"
    assert "gatway" in found.refused[0].reason


@pytest.mark.parametrize(
    ("namespaces", "labels", "given_labels", "may"),
    [
        ((), (), {}, False),
        (("serving",), (), {}, True),
        (("other",), (), {}, False),
        (("serv*",), (), {}, False),
        (("*",), (), {}, True),
        (("serving",), ("team=chat", "gold"), {"team": "chat", "gold": ""}, True),
        (("serving",), ("team=chat", "gold"), {"team": "chat"}, False),
        (("other",), ("team=chat",), {"team": "chat"}, False),
    ],
)
def test_a_pod_gets_an_entry_only_where_it_is_for_its_namespace(
    namespaces: tuple[str, ...], labels: tuple[str, ...], given_labels: dict[str, str], may: bool
) -> None:
    """Labels narrow it and never widen it; a pod that may not is refused with the reason, and its neighbours stay."""
    entry = config.Credentials(name="gateway", token_file="/t", namespaces=namespaces, labels=labels)
    asking, plain = pod("gateway", labels=given_labels), pod("", namespace="zzz")
    found = discover(config.Engines(credentials=(entry,)), [asking, plain])
    expected = [("serving/p:8000", "gateway")] if may else []
    assert [(t.instance, t.credentials) for t in found.targets] == [*expected, ("zzz/p:8000", "")]
    assert [(r.place, "credentials" in r.reason) for r in found.refused] == ([] if may else [("serving/p", True)])


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.frozensets(st.sampled_from("xyz"))), max_size=4),
    st.sampled_from(["a", "b", "c", "d", ""]),
    st.sampled_from("xyz"),
    st.dictionaries(
        st.sampled_from(["inferometer/credentials", "prometheus.io/credentials", "credentials"]), st.text()
    ),
)
def test_no_pod_gets_what_is_not_for_its_namespace(
    entries: list[tuple[str, frozenset[str]]], name: str, namespace: str, annotations: dict[str, str]
) -> None:
    """Whatever entries there are, and whatever it writes: what a target is asked with has its namespace in the entry."""
    listed = tuple(config.Credentials(name=n, token_file="/t", namespaces=tuple(sorted(s))) for n, s in entries)
    asking = pod(name, namespace)
    asking = Pod(
        *(asking.uid, asking.namespace, asking.name),
        phase="Running",
        ip="10.0.0.1",
        ports=asking.ports,
        annotations={**asking.annotations, **annotations},
    )
    for target in discover(config.Engines(credentials=listed), [asking]).targets:
        assert not target.credentials or [s for n, s in entries if n == target.credentials and namespace in s]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a", "token_file": "/t", "username": "u", "password_file": "/p"},
        {"name": "a", "username": "u"},
        {"name": "a", "password_file": "/p"},
        {"name": "a", "username": "u:v", "password_file": "/p"},
        {"name": "a", "certificate_file": "/c"},
        {"name": "a", "key_file": "/k"},
        {"name": "a", "ca_file": "/c", "insecure_tls": True},
    ],
)
def test_an_entry_that_contradicts_itself_is_used_for_nobody(wrong: dict[str, Any]) -> None:
    """It is named by its index, and so is each target that would use it."""
    entry = config.Credentials(**wrong, namespaces=("*",))
    settings = config.Engines(
        credentials=(TOKEN, entry), targets=(config.TargetConfig(url="http://h/m", credentials=entry.name or "a"),)
    )
    assert problem_of(entry)
    assert entry.name not in accesses((entry,))
    found = discover(settings, [pod(entry.name or "a")])
    assert found.targets == ()
    assert {refusal.place for refusal in found.refused} == {"engines.credentials[1]", "engines.targets[0]", "serving/p"}


def test_of_two_entries_with_one_name_neither_is_used() -> None:
    """Which one is meant nobody knows."""
    settings = config.Engines(
        credentials=(TOKEN, TOKEN), targets=(config.TargetConfig(url="http://h/m", credentials="gateway"),)
    )
    found = discover(settings, ())
    assert found.targets == ()
    assert [refusal.place for refusal in found.refused] == [
        "engines.credentials[0]",
        "engines.credentials[1]",
        "engines.targets[0]",
    ]


def test_a_pod_chooses_to_be_asked_less_often() -> None:
    """The period is the pod's wish; how long one may take is not."""
    wishing = Pod(
        "u",
        "ns",
        "p",
        phase="Running",
        ip="10.0.0.1",
        annotations={"inferometer/port": "1", "inferometer/period": "1m"},
    )
    (target,) = discover(config.Engines(), [wishing]).targets
    assert (target.period, target.deadline) == (60.0, 0.0)
