# SPDX-License-Identifier: Apache-2.0
"""Engines that are known by the images of their containers: which images, which ports, and what is no sign enough."""

from pathlib import Path
from typing import Any

import pytest

from inferometer import config
from inferometer.model import Pod, Port
from inferometer.sources.engines.dialects import DIALECTS
from inferometer.sources.engines.discovery import Discovered, discover
from inferometer.sources.engines.images import engine_of, repository, usual_ports

PAGE = (Path(__file__).parents[4] / "docs" / "engines.md").read_text()


def pod(image: str, *ports: Port, **more: Any) -> Pod:
    fields = {
        "uid": "u",
        "namespace": "ns",
        "name": "p",
        "phase": "Running",
        "ip": "10.0.0.1",
        "containers": ("server", "proxy"),
        "ports": ports,
        "images": {"server": image},
        **more,
    }
    return Pod(**fields)


def found(*pods: Pod, **settings: Any) -> Discovered:
    return discover(config.Engines(**settings), pods)


@pytest.mark.parametrize(
    ("image", "engine"),
    [
        ("vllm/vllm-openai", "vllm"),
        ("docker.io/vllm/vllm-openai:v0.32.0", "vllm"),
        ("vllm/vllm-openai@sha256:" + "0" * 64, "vllm"),
        ("registry:5000/mirror/vllm/vllm-openai:v1@sha256:" + "0" * 64, "vllm"),
        ("registry:5000/vllm-openai", "vllm"),
        ("lmsysorg/sglang:v0.5.23", "sglang"),
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.4", "nim"),
        ("harbor.example/nvcr/nim/meta/llama-3.1-8b-instruct", "nim"),
        ("nvcr.io/nvidia/tritonserver:25.09-py3", "triton"),
        ("nvcr.io/nvidia/tensorrt-llm/release:1.1.0", "trtllm"),
        ("ghcr.io/huggingface/text-generation-inference:3.3.5", "tgi"),
        ("ghcr.io/ggml-org/llama.cpp:server-cuda", "llamacpp"),
        ("openmmlab/lmdeploy:latest", "lmdeploy"),
        ("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.6.1", "dynamo"),
        ("nvcr.io/nvidia/ai-dynamo/sglang-runtime-nightly:latest", "dynamo"),
        ("ghcr.io/llm-d/llm-d-cuda:v0.5.0", "vllm"),
        ("ghcr.io/llm-d/llm-d-rocm:v0.9.0", "vllm"),
        ("public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.10.2", "vllm"),
        ("registry.redhat.io/rhaiis/vllm-cuda-rhel9:3.3.0", "vllm"),
        ("registry.redhat.io/rhoai/odh-vllm-cuda-rhel9@sha256:" + "0" * 64, "vllm"),
        ("quay.io/modh/vllm:rhoai-2.25-cuda", "vllm"),
        ("nvcr.io/nvidia/vllm:26.07-py3", "vllm"),
        ("lmsysorg/sglang-rocm:v0.5.16-rocm720-mi35x", "sglang"),
        ("nvcr.io/nvidia/sglang:26.05-py3", "sglang"),
        ("rayproject/ray-llm:2.53.0-extra-py311-cu128", "ray"),
        ("kserve/huggingfaceserver:v0.17.0-gpu", "kserve"),
        # What only sounds alike.
        ("ghcr.io/llm-d/llm-d-routing-sidecar:v0.5.0", ""),
        ("ghcr.io/llm-d/llm-d-inference-scheduler:v0.5.0", ""),
        ("ghcr.io/llm-d/llm-d-router-endpoint-picker:v0.9.0", ""),
        ("nvcr.io/nvidia/ai-dynamo/dynamo-planner:1.1.1", ""),
        ("team/vllm-openai-proxy/front", ""),
        ("example.com/nim", ""),
        ("vllm", ""),
        ("", ""),
        (":", ""),
        ("@", ""),
        ("a:b/c", ""),
    ],
)
def test_an_image_is_known_by_the_end_of_its_name(image: str, engine: str) -> None:
    """Registry, mirror, tag and digest do not matter; what only sounds alike is nobody's."""
    known = engine_of(image)
    assert (known.name if known else "") == engine


def test_a_repository_is_named_without_tag_and_digest() -> None:
    """A colon before a slash is a registry's port."""
    assert repository("r:5000/a/b") == repository("r:5000/a/b:1") == repository("r:5000/a/b:1@sha256:0") == "r:5000/a/b"


def test_an_engine_is_scraped_at_the_usual_port_and_path_of_its_image() -> None:
    """Triton's two other ports are for requests; NIM's page has a path of its own."""
    triton = pod("nvcr.io/nvidia/tritonserver:25.09-py3", *(Port("server", "", n) for n in (8000, 8001, 8002)))
    nim = pod("nvcr.io/nim/meta/llama", Port("server", "http", 8000), name="q", ip="10.0.0.2")
    assert [(t.url, t.engine, t.found) for t in found(triton, nim).targets] == [
        ("http://10.0.0.1:8002/metrics", "", "image nvcr.io/nvidia/tritonserver"),
        ("http://10.0.0.2:8000/v1/metrics", "", "image nvcr.io/nim/meta/llama"),
    ]


def test_only_the_ports_of_the_engines_own_container_count() -> None:
    """llm-d puts a proxy at 8000 before vLLM at 8200: asking both would count everything twice."""
    ports = (Port("proxy", "", 8000), Port("server", "", 8200))
    assert [t.instance for t in found(pod("ghcr.io/llm-d/llm-d-cuda", *ports)).targets] == ["ns/p:8200"]


def test_two_engines_in_one_pod_are_two_targets() -> None:
    """Each has the port and the path of its own image."""
    images = {"server": "vllm/vllm-openai", "proxy": "lmsysorg/sglang"}
    both = pod("", Port("server", "", 8000), Port("proxy", "", 30000), images=images)
    assert [(t.instance, t.container) for t in found(both).targets] == [
        ("ns/p:8000", "server"),
        ("ns/p:30000", "proxy"),
    ]


@pytest.mark.parametrize("ports", [(), (Port("server", "http", 9000),), (Port("proxy", "", 8000),)])
def test_an_image_without_a_usual_port_is_a_doubt_that_says_what_to_annotate(ports: tuple[Port, ...]) -> None:
    """It may be a batch job: no port is guessed, not even the only one."""
    discovered = found(pod("vllm/vllm-openai:v1", *ports))
    assert discovered.targets == ()
    (refusal,) = discovered.refused
    assert (refusal.place, refusal.doubtful) == ("ns/p", True)
    assert "vllm/vllm-openai" in refusal.reason
    assert "8000" in refusal.reason
    assert "inferometer/port" in refusal.remedy
    assert "inferometer/scrape" in refusal.remedy


def test_what_a_pod_says_goes_before_its_image() -> None:
    """Our annotations, a port's name, and Prometheus' annotations, which the image makes count."""
    ports = (Port("server", "http", 8000), Port("server", "vllm", 8001), Port("server", "", 9000))
    image = "vllm/vllm-openai"
    said = {"prometheus.io/port": "9000", "prometheus.io/path": "/m"}
    ours = pod(image, *ports, annotations={**said, "inferometer/port": "7000"})
    assert found(ours).targets[0].url == "http://10.0.0.1:7000/m"
    assert found(pod(image, *ports, annotations=said)).targets[0].url == "http://10.0.0.1:8001/m"
    assert found(pod(image, ports[0], ports[2], annotations=said)).targets[0].url == "http://10.0.0.1:9000/m"
    insists = pod(image, ports[0], Port("server", "", 30000), annotations={"inferometer/engine": "sglang"})
    assert found(insists).targets[0].url == "http://10.0.0.1:30000/metrics"


def test_an_image_tells_the_port_of_a_pod_that_is_marked_otherwise() -> None:
    """A label says that it is an engine, and of several ports the image tells the one."""
    ports = tuple(Port("server", "", n) for n in (1, 2, 30000))
    marked = pod("lmsysorg/sglang", *ports, labels={"llm-d.ai/inference-serving": "true"})
    (target,) = found(marked).targets
    assert (target.instance, target.found) == ("ns/p:30000", "label llm-d.ai/inference-serving=true")


def test_images_can_be_left_out_of_account() -> None:
    """Then the same pod is nothing, and no doubt either."""
    vllm = pod("vllm/vllm-openai", Port("server", "", 8000))
    assert found(vllm, discovery=config.Discovery(images=False)) == Discovered(())


def test_no_image_is_two_engines() -> None:
    """A dialect's patterns match no other dialect's, so that their order does not matter."""
    concrete = [(d, pattern.replace("*", "x")) for d in DIALECTS for pattern in d.images]
    for dialect, image in concrete:
        assert engine_of(f"registry.example/{image}:v1") is dialect


def test_the_page_lists_the_images_and_ports() -> None:
    """docs/engines.md is written by hand; a dialect that it forgets fails here."""
    for dialect in DIALECTS:
        if dialect.images:
            images = ", ".join(f"`{image}`" for image in dialect.images)
            assert f"| `{dialect.name}` | {images} | {', '.join(map(str, usual_ports(dialect)))} |" in PAGE
