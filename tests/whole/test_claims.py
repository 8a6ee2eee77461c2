# SPDX-License-Identifier: Apache-2.0
"""Claims in the pipeline: what is asked for them, when, and what outlasts a kubelet that does not answer."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import grpc  # noqa: TID251  # the status that the kubelet refuses with
import pytest

from inferometer.app import Pipeline, check
from inferometer.config import Config, Seconds
from inferometer.model import AllocatedClaim, PooledDevice
from inferometer.sources.identity import refreshing
from inferometer.sources.identity.traffic import Traffic
from kubelet.api import ApiServer
from kubelet.certificates import issue
from kubelet.podresources import Kubelet, always, recorded, refusing
from whole.agents import await_that

RECORDED = Path(__file__).parents[1] / "fixtures" / "kubelet"
PERIOD = 0.1
ANSWER = always(recorded(RECORDED / "podresources_dra_1.36.json"))

T = TypeVar("T")


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    with Kubelet(tmp_path / "kubelet.sock", ANSWER) as kubelet:
        yield kubelet


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    """The API server of the recorded node: its pods, claims and slices."""
    items = json.loads((RECORDED / "api_dra_1.36.json").read_text())["items"]
    with ApiServer(issue(tmp_path), pods=tuple(i for i in items if i["kind"] == "Pod")) as api:
        for claim in (i for i in items if i["kind"] == "ResourceClaim"):
            api.put_claim(claim)
        api.slices = [i for i in items if i["kind"] == "ResourceSlice"]
        yield api


@pytest.fixture
def config(tmp_path: Path, kubelet: Kubelet, api: ApiServer) -> Config:
    """The agent's configuration, without any GPU and any file of this machine's kubelet."""
    (tmp_path / "token").write_text("a-token")
    base = Config()
    pods = replace(
        base.identity.pods,
        source="api",
        server=api.url,
        token_file=str(tmp_path / "token"),
        ca_file=str(tmp_path / "ca.crt"),
    )
    files = replace(
        base.identity.claims,
        state_file=str(tmp_path / "state"),
        checkpoint=str(tmp_path / "checkpoint"),
        cdi_dir=str(tmp_path),
    )
    podresources = replace(base.identity.podresources, socket=str(kubelet.path))
    identity = replace(base.identity, podresources=podresources, pods=pods, claims=files)
    devices = replace(base.devices, nvidia=replace(base.devices.nvidia, enabled=False))
    return replace(base, period=Seconds(PERIOD), identity=identity, devices=devices)


def test_a_kubelet_that_is_away_costs_the_api_server_nothing(kubelet: Kubelet, api: ApiServer, config: Config) -> None:
    """Each claim is read once, before and after: the kubelet's silence is no reason to ask for it again."""
    pipeline = Pipeline(config, {"NODE_NAME": "n1"})
    try:
        await_that(lambda: {"podresources", "claims"} <= _valid(pipeline).keys(), "claims")
        asked = sorted(api.claims_asked)
        kubelet.answer = refusing(grpc.StatusCode.UNAVAILABLE, "restarting")
        await_that(lambda: "podresources" in _failing(pipeline), "the kubelet's silence")
        await_that(lambda: "podresources" not in _valid(pipeline), "the end of what it said")
        kubelet.answer = ANSWER
        await_that(lambda: {"podresources", "claims"} <= _valid(pipeline).keys(), "claims")

        assert len(asked) == 3
        assert sorted(api.claims_asked) == asked
    finally:
        pipeline.close()


def test_the_first_snapshot_has_claims_and_devices(api: ApiServer, config: Config) -> None:
    """All of it is read in one step, and each question is counted: what an agent costs the API server."""
    traffic = Traffic(PERIOD)
    pipeline = Pipeline(config, {"NODE_NAME": "n1"}, traffic=traffic)
    try:
        pipeline.step(patience=5.0)
        frames = _read(pipeline)
    finally:
        pipeline.close()

    assert {claim.name for claim in _of(frames["claims"], AllocatedClaim)} == {
        "ext1-extended-resources-chcf8",
        "two-g-xbpqm",
        "watcher-g-qx7c5",
    }
    assert {device.uuid[-1] for device in _of(frames["slices"], PooledDevice)} == set("01234567")
    counts = traffic.counts
    assert counts["get", "resourceclaims"][0] == len(api.claims_asked) == 3
    assert counts["list", "resourceslices"][0] == len(api.slices_asked) == 1
    assert counts["list", "resourceslices"][1] > 2000
    assert counts["list", "pods"][0] == counts["watch", "pods"][0] == 1


def test_a_pool_that_its_driver_begins_to_share_is_read_again(
    api: ApiServer, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first claim for a share of a device that is known as one for a single claim tells that its pool is another now."""
    monkeypatch.setattr(refreshing, "AGE", (0.0, 0.0))
    pipeline = Pipeline(config, {"NODE_NAME": "n1"})
    try:
        before = [device.shared for device in _of(_read(pipeline)["slices"], PooledDevice)]
        for device in api.slices[0]["spec"]["devices"]:
            device["allowMultipleAllocations"] = True
        pipeline.step(patience=5.0)
        unasked = len(api.slices_asked)
        for claim in api.claims.values():
            for result in claim["status"]["allocation"]["devices"]["results"]:
                result["shareID"] = "5ba5374e-fb41-468a-ba11-f0a71d1d16d5"
        await_that(lambda: any(_shared(pipeline)), "shares")

        assert (before, unasked) == ([False] * 8, 1)
        await_that(lambda: _shared(pipeline) == [True] * 8, "all of them")
        assert len(api.slices_asked) == 2
    finally:
        pipeline.close()


def test_claims_that_only_pods_name_are_read(kubelet: Kubelet, config: Config) -> None:
    """A device without node operations, or the kubelet's cache without the claim: the pod tells which claim it is."""
    kubelet.answer = always(b"")
    pipeline = Pipeline(config, {"NODE_NAME": "n1"})
    try:
        frames = _read(pipeline)
    finally:
        pipeline.close()

    assert len(_of(frames["claims"], AllocatedClaim)) == 3
    assert len(_of(frames["slices"], PooledDevice)) == 8


def test_a_node_without_claims_asks_for_none(kubelet: Kubelet, api: ApiServer, config: Config) -> None:
    """It needs no right to, and costs the API server nothing."""
    kubelet.answer = always(b"")
    for name in ("ext1", "two", "watcher"):
        api.delete(name)
    pipeline = Pipeline(config, {"NODE_NAME": "n1"})
    try:
        for _ in range(3):
            assert {s.source for s in pipeline.step(patience=5.0).sources} == {"podresources", "pods"}
    finally:
        pipeline.close()

    assert (api.claims_asked, api.slices_asked) == ([], [])


def test_what_the_agent_has_no_right_to_is_absent(api: ApiServer, config: Config) -> None:
    """Slices are a help that one can do without; claims that nobody tells of are a fault with its remedy."""
    api.claim_fault = api.slice_fault = 403

    findings = {finding.source: finding for finding in check(config, {"NODE_NAME": "n1"})}

    assert findings["slices"].state == "absent"
    assert "resourceslices" in findings["slices"].remedy
    assert findings["claims"].state == "failed"
    assert "resourceclaims" in findings["claims"].remedy


def _of(value: object, kind: type[T]) -> list[T]:
    assert isinstance(value, tuple)
    return [item for item in value if isinstance(item, kind)]


def _shared(pipeline: Pipeline) -> list[bool]:
    """Take a step; tell of each device whether it is known to be shared."""
    return [device.shared for device in _of(_valid(pipeline).get("slices", ()), PooledDevice)]


def _valid(pipeline: Pipeline) -> dict[str, object]:
    """Take a step; give what sources have to say after it that is valid."""
    pipeline.step(patience=PERIOD)
    return {frame.source: frame.value for frame in pipeline._board.frames().good}


def _failing(pipeline: Pipeline) -> set[str]:
    """Take a step; give the sources that could not be read."""
    return {source.source for source in pipeline.step(patience=PERIOD).sources if not source.up}


def _read(pipeline: Pipeline) -> dict[str, object]:
    """Step until claims and slices are read; on a machine that stalls what was read can be past its time at once."""
    found: dict[str, object] = {}

    def are_there() -> bool:
        found.update(_valid(pipeline))
        return {"claims", "slices"} <= found.keys()

    await_that(are_there, "claims and slices")
    return found
