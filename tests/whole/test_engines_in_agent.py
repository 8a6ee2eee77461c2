# SPDX-License-Identifier: Apache-2.0
"""Engines in the pipeline: from a pod's JSON to its page, with credentials that are for its namespace, as `check` says it."""

import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferometer.app import Pipeline, check, check_engines
from inferometer.config import Config, Credentials, Engines, Seconds
from kubelet.api import ApiServer
from kubelet.certificates import Certificates, issue
from peer import Peer, answer, in_turn, peer_with
from whole.agents import await_that

ENVIRON = {"NODE_NAME": "n1"}
PAGE = b'# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0",model_name="m"} 1\n'


def pod(name: str, namespace: str, number: int, image: str = "example/app", **annotations: str) -> Any:
    ours = {f"inferometer/{key}": value for key, value in annotations.items()}
    container = {"name": "server", "image": image, "ports": [{"containerPort": number}]}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "annotations": ours},
        "spec": {"nodeName": "n1", "containers": [container]},
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    }


@pytest.fixture
def pki(tmp_path: Path) -> Certificates:
    """An engine's certificate that has the name of its Service, as most have, and asks for the agent's own."""
    (tmp_path / "engine").mkdir()
    return issue(tmp_path / "engine", name="chat.serving.svc")


@pytest.fixture
def engine(pki: Certificates) -> Iterator[Peer]:
    context = pki.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.ca)
    with peer_with(in_turn(*[answer(PAGE)] * 9), tls=context) as peer:
        yield peer


@pytest.fixture
def config(tmp_path: Path, engine: Peer, pki: Certificates) -> Iterator[Config]:
    """An agent that reads pods and engines: one may have the credentials, one may not, one only looks like an engine."""
    asking = {"port": str(engine.port), "scheme": "https", "credentials": "serving"}
    pods = (
        pod("chat-0", "serving", engine.port, **asking),
        pod("thief", "default", engine.port, **asking),
        pod("batch", "serving", 9000, "mirror.example/vllm/vllm-openai:v0.32.0"),
        pod("web", "serving", 8080),
    )
    (tmp_path / "api").mkdir()
    (tmp_path / "engine-token").write_text("hunter2")
    entry = Credentials(
        name="serving",
        token_file=str(tmp_path / "engine-token"),
        ca_file=str(pki.ca),
        certificate_file=str(pki.certificate),
        key_file=str(pki.key),
        server_name="chat.serving.svc",
        namespaces=("serving",),
    )
    base = Config()
    with ApiServer(issue(tmp_path / "api"), pods=pods) as api:
        (tmp_path / "token").write_text(api.token)
        read = replace(
            base.identity.pods,
            socket=str(tmp_path / "pods-api.sock"),
            server=api.url,
            token_file=str(tmp_path / "token"),
            ca_file=str(tmp_path / "api" / "ca.crt"),
        )
        podresources = replace(base.identity.podresources, enabled=False)
        devices = replace(base.devices, nvidia=replace(base.devices.nvidia, enabled=False))
        yield replace(
            base,
            period=Seconds(1.0),
            devices=devices,
            identity=replace(base.identity, podresources=podresources, pods=read),
            engines=Engines(credentials=(entry,)),
        )


def test_an_engine_behind_mutual_tls_and_a_token_is_read_with_its_pods_identity(config: Config, engine: Peer) -> None:
    """By its pod's address, under its Service's name, on one kept connection; nobody else is shown the token."""
    with closing(Pipeline(config, ENVIRON)) as pipeline:
        told: list[tuple[str, tuple[str, ...], str | None]] = []

        def is_told_twice() -> bool:
            time.sleep(config.period)
            snapshot = pipeline.step(patience=5.0)
            told.extend((e.engine, e.models, e.owner.uid if e.owner else None) for e in snapshot.engines)
            return len(engine.asked) >= 2 and len(told) >= 2  # on one connection: the peer takes no other

        await_that(is_told_twice, "two pages")
    assert set(told) == {("vllm", ("m",), "uid-chat-0")}
    assert all(b"Authorization: Bearer hunter2" in head for head in engine.asked)


def test_check_says_of_each_how_it_was_found_and_why_it_is_not_scraped(config: Config) -> None:
    """A pod that may not have the credentials is a failure; what only looks like an engine is none, and says what to do."""
    found = {finding.source: finding for finding in check(config, ENVIRON)}
    name, families = sorted(source for source in found if source.startswith("engine serving/chat-0:"))
    assert (found[name].state, found[families].state) == ("ok", "absent")
    assert "vllm:time_to_first_token_seconds" in found[families].reason  # its page is but a line
    assert "found by annotation inferometer/port, asked with the credentials 'serving'" in found[name].reason
    thief, batch = found["engine default/thief"], found["engine serving/batch"]
    assert (thief.state, "not for pods of the namespace default" in thief.reason) == ("failed", True)
    assert (batch.state, "vllm/vllm-openai" in batch.reason) == ("absent", True)
    assert "inferometer/port" in batch.remedy
    assert not [source for source in found if "web" in source]


def test_engines_can_be_looked_at_alone(config: Config) -> None:
    """Pods and engines, and no device, kubelet or claim."""
    devices = replace(config.devices, nvidia=replace(config.devices.nvidia, enabled=True))
    podresources = replace(config.identity.podresources, enabled=True)
    everything = replace(config, devices=devices, identity=replace(config.identity, podresources=podresources))
    sources = {finding.source.partition(" ")[0] for finding in check_engines(everything, ENVIRON)}
    assert sources == {"pods", "engine"}
