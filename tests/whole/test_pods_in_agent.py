# SPDX-License-Identifier: Apache-2.0
"""Pods in the pipeline: which way they come, as `check` says it, and what is counted of those that are none."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferometer.app import Pipeline, check
from inferometer.config import Config, Seconds
from kubelet.api import ApiServer
from kubelet.certificates import issue
from kubelet.pods import PodsApi

ENVIRON = {"NODE_NAME": "n1"}


def pod(name: str, uid: str) -> Any:
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": uid},
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}]},
        "status": {"phase": "Running"},
    }


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(issue(tmp_path), pods=(pod("a", "1"), pod("none", ""), pod("b", "2"))) as api:
        yield api


@pytest.fixture
def config(tmp_path: Path, api: ApiServer) -> Config:
    """An agent that reads pods and nothing else."""
    (tmp_path / "token").write_text(api.token)
    base = Config()
    pods = replace(
        base.identity.pods,
        socket=str(tmp_path / "pods-api.sock"),
        server=api.url,
        token_file=str(tmp_path / "token"),
        ca_file=str(tmp_path / "ca.crt"),
    )
    podresources = replace(base.identity.podresources, enabled=False)
    devices = replace(base.devices, nvidia=replace(base.devices.nvidia, enabled=False))
    identity = replace(base.identity, podresources=podresources, pods=pods)
    return replace(base, period=Seconds(0.2), identity=identity, devices=devices)


def told(config: Config) -> tuple[str, str]:
    return next((f.state, f.reason) for f in check(config, ENVIRON) if f.source == "pods")


def test_check_says_which_way(config: Config, api: ApiServer) -> None:
    """`check` names the way to the pods, and why it is not the one before."""
    socket = config.identity.pods.socket
    assert told(config) == ("ok", f"by api, {api.url}; not by kubelet_socket: {socket}: no such socket")
    with PodsApi(Path(socket), pod("a", "1")):
        assert told(config) == ("ok", f"by kubelet_socket, {socket}")


def test_no_way(config: Config) -> None:
    """Where there is none, and where it is switched off, `check` says so."""
    alone = replace(config.identity.pods, server="", token_file="")
    state, reason = told(replace(config, identity=replace(config.identity, pods=alone)))
    assert (state, "there is no Pods socket" in reason) == ("off", True)
    off = replace(config.identity.pods, source="off")
    state, reason = told(replace(config, identity=replace(config.identity, pods=off)))
    assert (state, "switched off" in reason) == ("off", True)


def test_pods_that_are_none_are_counted_once(config: Config) -> None:
    """A pod without UID is counted when it is told of, and not again at every tick."""
    with closing(Pipeline(config, ENVIRON)) as pipeline:
        counts = [pipeline.step(patience=5.0).dropped["pods_malformed"] for _ in range(3)]
    assert counts == [1, 0, 0]
