# SPDX-License-Identifier: Apache-2.0
"""Which engines are scraped: what marks a pod, which port and path it has, and what is refused."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer import config
from inferometer.model import Pod, Port, Target
from inferometer.sources.engines.discovery import Discovered, discover

ENGINES = config.Engines()


def pod(**more: Any) -> Pod:
    name = more.setdefault("name", "chat-0")
    fields = {
        "uid": f"uid-{name}",
        "namespace": "ns",
        "phase": "Running",
        "ip": "10.0.0.1",
        "containers": ("server", "sidecar"),
        "ports": (Port("server", "http", 8000),),
        **more,
    }
    return Pod(**fields)


def annotated(**more: Any) -> Pod:
    return pod(annotations={"inferometer/port": "8000"}, **more)


def found(*pods: Pod, **settings: Any) -> Discovered:
    return discover(config.Engines(**settings), pods)


def urls(discovered: Discovered) -> list[str]:
    return [target.url for target in discovered.targets]


def test_an_annotated_pod_is_a_target_with_its_identity() -> None:
    """The instance is `namespace/pod:port`, and the container is the one that declares the port."""
    assert found(annotated()).targets == (
        Target(
            *("ns/chat-0:8000", "http://10.0.0.1:8000/metrics", "", "ns", "chat-0", "uid-chat-0", "server"),
            found="annotation inferometer/port",
        ),
    )


@pytest.mark.parametrize(
    "marks",
    [
        {"labels": {"llm-d.ai/inference-serving": "true"}},
        {"labels": {"llm-d.ai/engine-type": "vllm"}},
        {"labels": {"inferometer/engine": "vllm"}},
        {"labels": {"app.kubernetes.io/name": "vllm"}},
        {"ports": (Port("server", "engine-metrics", 8000),)},
        {"annotations": {"inferometer/engine": "vllm"}},
        {"annotations": {"inferometer/path": "/metrics"}},
        {"annotations": {"inferometer/scrape": "true"}},
        {"images": {"server": "vllm/vllm-openai:v0.32.0"}},
    ],
)
def test_each_mark_makes_a_pod_an_engine(marks: Mapping[str, object]) -> None:
    """A label, a port's name, an image with its usual port or an annotation of ours is enough, and how is said."""
    discovered = found(pod(**marks))
    assert urls(discovered) == ["http://10.0.0.1:8000/metrics"]
    assert discovered.targets[0].found.partition(" ")[0] in ("annotation", "label", "port", "image")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"labels": {"app.kubernetes.io/name": "nginx", "llm-d.ai/inference-serving": "false"}},
        {"annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8000"}},
        {"annotations": {"inferometer/port": "8000", "inferometer/scrape": "false"}},
        {"annotations": {"inferometer/scrape": "false"}, "images": {"server": "vllm/vllm-openai"}},
        {"annotations": {"prometheus.io/scrape": "false"}, "images": {"server": "vllm/vllm-openai"}},
        {"images": {"server": "team/batch:v1"}},
        {"labels": {"inferometer/engine": "vllm"}, "annotations": {"prometheus.io/scrape": "false"}},
        {"annotations": {"inferometer/port": "8000"}, "phase": "Pending"},
        {"annotations": {"inferometer/port": "8000"}, "phase": "Succeeded"},
        {"annotations": {"inferometer/port": "8000"}, "ip": ""},
    ],
)
def test_pods_that_are_no_engines_or_do_not_run_are_left_alone(more: Mapping[str, object]) -> None:
    """Prometheus' annotations alone mark nothing; `inferometer/scrape: "false"` opts out; nothing of it is an error."""
    assert found(pod(**more)) == Discovered(())


def test_prometheus_annotations_count_on_a_marked_pod() -> None:
    """Port, path and scheme are taken from them, and ours win."""
    theirs = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9000",
        "prometheus.io/path": "/m",
        "prometheus.io/scheme": "https",
    }
    marked = pod(labels={"llm-d.ai/engine-type": "vllm"}, annotations=theirs)
    assert urls(found(marked)) == ["https://10.0.0.1:9000/m"]
    both = pod(
        annotations={**theirs, "inferometer/port": "8001", "inferometer/path": "/ours", "inferometer/scheme": "http"}
    )
    assert urls(found(both)) == ["http://10.0.0.1:8001/ours"]


@pytest.mark.parametrize(
    ("engine", "path"),
    [("trtllm", "/prometheus/metrics"), ("nim", "/v1/metrics"), ("vllm", "/metrics"), ("sglang", "/metrics")],
)
def test_an_engine_that_is_named_brings_its_path(engine: str, path: str) -> None:
    """Unless the pod says another."""
    assert urls(found(pod(annotations={"inferometer/engine": engine}))) == [f"http://10.0.0.1:8000{path}"]
    assert urls(found(pod(annotations={"inferometer/engine": engine, "inferometer/path": "/x"}))) == [
        "http://10.0.0.1:8000/x"
    ]


def test_only_our_own_key_insists_on_an_engine() -> None:
    """What others' labels call a pod tells its usual port and path; the page tells what it is."""
    two = (Port("server", "a", 8000), Port("server", "b", 30000))
    other = found(pod(labels={"llm-d.ai/engine-type": "sglang"}, ports=two)).targets[0]
    assert (other.url, other.engine) == ("http://10.0.0.1:30000/metrics", "")
    assert found(pod(labels={"inferometer/engine": "sglang"}, ports=two)).targets[0].engine == "sglang"


def test_prometheus_has_no_annotation_for_an_engine() -> None:
    """`prometheus.io/engine` is nobody's word for it: it neither names one nor gets the pod refused."""
    discovered = found(pod(annotations={"inferometer/port": "8000", "prometheus.io/engine": "gasoline"}))
    assert [target.engine for target in discovered.targets] == [""]


def test_several_ports_are_several_targets() -> None:
    """Listed in the annotation by number or name, or found by name: each once."""
    ports = (Port("a", "vllm", 8000), Port("b", "engine-metrics", 8001), Port("c", "web", 80))
    assert [
        t.instance for t in found(pod(annotations={"inferometer/port": "8000, web,8000"}, ports=ports)).targets
    ] == ["ns/chat-0:8000", "ns/chat-0:80"]
    by_name = found(pod(ports=ports)).targets
    assert [(t.instance, t.container) for t in by_name] == [("ns/chat-0:8000", "a"), ("ns/chat-0:8001", "b")]


def test_the_container_is_named_only_where_it_is_certain() -> None:
    """A port that nobody or everybody declares belongs to no container, unless there is only one."""
    port = {"annotations": {"inferometer/port": "9"}}
    assert found(pod(**port)).targets[0].container == ""
    assert found(pod(**port, containers=("only",))).targets[0].container == "only"
    assert found(pod(**port, ports=(Port("a", "", 9), Port("b", "", 9)))).targets[0].container == ""


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({"inferometer/port": "x"}, "port"),
        ({"inferometer/port": "99999"}, "port"),
        ({"inferometer/port": "0"}, "port"),
        ({"inferometer/port": "-1"}, "port"),
        ({"inferometer/port": "٨٠"}, "port"),
        ({"inferometer/port": "80@evil.example:81"}, "port"),
        ({"inferometer/port": ",".join(map(str, range(1, 20)))}, "ports"),
        ({"inferometer/path": "metrics"}, "path"),
        ({"inferometer/path": "http://evil.example/metrics"}, "path"),
        ({"inferometer/path": "//evil.example/metrics"}, "path"),
        ({"inferometer/path": "/a b"}, "path"),
        ({"inferometer/path": "/a\r\nHost: evil.example"}, "path"),
        ({"inferometer/path": "/metrics\n"}, "path"),
        ({"inferometer/path": "@evil.example/"}, "path"),
        ({"inferometer/path": "/" + "a" * 1000}, "path"),
        ({"inferometer/scheme": "file"}, "scheme"),
        ({"inferometer/engine": "vlm"}, "engine"),
        ({"inferometer/credentials": "none"}, "engines.credentials"),
        ({"inferometer/period": "often"}, "period"),
        ({"inferometer/period": "0s"}, "period"),
        ({"inferometer/period": "1h"}, "period"),
        ({"inferometer/period": "9" * 400}, "period"),
    ],
)
def test_a_hostile_or_mistaken_annotation_is_refused_with_its_reason(annotations: Mapping[str, str], says: str) -> None:
    """No target is made, the pod is named, its neighbours are scraped, and what it said is not repeated at length."""
    discovered = found(pod(annotations=annotations), annotated(name="other", ip="10.0.0.2"))
    assert urls(discovered) == ["http://10.0.0.2:8000/metrics"]
    (refusal,) = discovered.refused
    assert refusal.place == "ns/chat-0"
    assert says in refusal.reason
    assert len(refusal.reason) < 200


@given(
    st.dictionaries(
        st.sampled_from(
            [p + k for p in ("inferometer/", "prometheus.io/") for k in ("port", "path", "scheme", "scrape")]
        ),
        st.text() | st.text("/:@?#.\\ evil80"),
        min_size=1,
    )
)
def test_no_annotation_leads_away_from_the_pod(annotations: dict[str, str]) -> None:
    """Whatever is written there, every target's host is the pod's address."""
    discovered = discover(ENGINES, [pod(annotations=annotations, labels={"inferometer/engine": "vllm"})])
    for target in discovered.targets:
        parts = urlsplit(target.url)
        assert (parts.scheme in ("http", "https"), parts.hostname, parts.username) == (True, "10.0.0.1", None)
        assert target.url.isprintable()
        assert " " not in target.url


def test_a_marked_pod_that_does_not_say_its_port_is_refused() -> None:
    """Of several ports none is guessed."""
    many = (Port("a", "x", 1), Port("a", "y", 2))
    discovered = found(pod(labels={"llm-d.ai/inference-serving": "true"}, ports=many))
    assert discovered.targets == ()
    assert "inferometer/port" in discovered.refused[0].reason


def test_addresses_of_version_6_are_bracketed() -> None:
    """A URL needs brackets around them; an address that is none is refused."""
    assert urls(found(annotated(ip="fd00::1"))) == ["http://[fd00::1]:8000/metrics"]
    assert found(annotated(ip="evil.example")).refused


def test_configured_targets_are_named_by_host_and_port() -> None:
    """With the path only where it is needed to tell two apart; secrets of a URL are in no name."""
    one = config.TargetConfig(url="http://user:pass@h:8000/metrics?token=t", engine="vllm", headers={"A": "b"})
    two = config.TargetConfig(url="https://h2/metrics")
    three = config.TargetConfig(url="https://h2/other")
    discovered = found(targets=(one, two, three))
    assert [t.instance for t in discovered.targets] == ["h:8000", "h2:443", "h2:443/other"]
    assert (discovered.targets[0].url, discovered.targets[0].engine, discovered.targets[0].headers) == (
        one.url,
        "vllm",
        {"A": "b"},
    )


@pytest.mark.parametrize("url", ["", "h:8000", "ftp://h/metrics", "http://", "http://[::1", "http://h:99999/"])
def test_a_configured_url_that_cannot_be_scraped_is_refused_by_its_place(url: str) -> None:
    """The others stay."""
    discovered = found(targets=(config.TargetConfig(url=url), config.TargetConfig(url="http://h/metrics")))
    assert [t.instance for t in discovered.targets] == ["h:80"]
    assert discovered.refused[0].place == "engines.targets[0]"


def test_a_configured_target_gets_the_identity_of_its_pod() -> None:
    """By the names that are configured, or by its address; and is not scraped twice."""
    named = config.TargetConfig(url="http://127.0.0.1:8000/metrics", namespace="ns", pod="chat-0")
    target = found(pod(), targets=(named,)).targets[0]
    assert (target.pod_uid, target.container) == ("uid-chat-0", "server")
    same = config.TargetConfig(url="http://10.0.0.1:8000/v1/metrics")
    discovered = found(annotated(), targets=(same,))
    assert [(t.instance, t.pod_uid, t.container) for t in discovered.targets] == [
        ("10.0.0.1:8000", "uid-chat-0", "server")
    ]


def test_the_number_of_targets_is_limited_and_what_is_over_is_counted() -> None:
    """Configured targets come first; the order does not depend on the order of the pods."""
    pods = [annotated(name=f"p{i}", ip=f"10.0.0.{i + 1}") for i in range(5)]
    settings = {"max_targets": 3, "targets": (config.TargetConfig(url="http://h:1/metrics"),)}
    discovered = found(*pods, **settings)
    assert [t.instance for t in discovered.targets] == ["h:1", "ns/p0:8000", "ns/p1:8000"]
    assert discovered.dropped == 3
    assert found(*reversed(pods), **settings) == discovered


def test_a_name_is_given_once() -> None:
    """Two pods of one name, the old and the new, are not two engines: the second is refused."""
    discovered = found(annotated(uid="a"), annotated(uid="b", ip="10.0.0.9"))
    assert [t.pod_uid for t in discovered.targets] == ["a"]
    assert discovered.refused[0].place == "ns/chat-0:8000"


def test_discovery_can_be_switched_off() -> None:
    """Configured targets stay."""
    off = config.Discovery(enabled=False)
    assert [
        t.instance
        for t in found(annotated(), discovery=off, targets=(config.TargetConfig(url="http://h/metrics"),)).targets
    ] == ["h:80"]


def test_an_address_is_asked_once() -> None:
    """Two pods on the host's network that announce one port would be one engine counted twice: the second is refused."""
    discovered = found(annotated(name="a"), annotated(name="b"))
    assert [t.instance for t in discovered.targets] == ["ns/a:8000"]
    assert discovered.refused[0].place == "ns/b:8000"
    assert "ns/a:8000" in discovered.refused[0].reason
