# SPDX-License-Identifier: Apache-2.0
"""Claims in the pipeline: what was read of them outlasts a kubelet that does not answer."""

import json
import time
from dataclasses import replace
from pathlib import Path

import grpc  # noqa: TID251  # the status that the kubelet refuses with

from inferometer.app import Pipeline
from inferometer.config import Config, Seconds
from kubelet.api import ApiServer
from kubelet.certificates import issue
from kubelet.podresources import Kubelet, always, recorded, refusing

RECORDED = Path(__file__).parents[1] / "fixtures" / "kubelet"
PERIOD = 0.1


def test_a_kubelet_that_is_away_costs_the_api_server_nothing(tmp_path: Path) -> None:
    """Each claim is read once, before and after: the kubelet's silence is no reason to ask for it again."""
    items = json.loads((RECORDED / "api_dra_1.36.json").read_text())["items"]
    certificates = issue(tmp_path)
    (tmp_path / "token").write_text("a-token")
    answer = always(recorded(RECORDED / "podresources_dra_1.36.json"))
    with (
        Kubelet(tmp_path / "kubelet.sock", answer) as kubelet,
        ApiServer(certificates, pods=tuple(i for i in items if i["kind"] == "Pod")) as api,
    ):
        for claim in (i for i in items if i["kind"] == "ResourceClaim"):
            api.put_claim(claim)
        base = Config()
        identity = replace(
            base.identity,
            podresources=replace(base.identity.podresources, socket=str(kubelet.path)),
            pods=replace(
                base.identity.pods,
                source="api",
                server=api.url,
                token_file=str(tmp_path / "token"),
                ca_file=str(certificates.ca),
            ),
        )
        devices = replace(base.devices, nvidia=replace(base.devices.nvidia, enabled=False))
        config = replace(base, period=Seconds(PERIOD), identity=identity, devices=devices)
        pipeline = Pipeline(config, {"NODE_NAME": "n1"})
        try:
            pipeline.step(patience=5.0)
            asked = sorted(api.claims_asked)
            kubelet.answer = refusing(grpc.StatusCode.UNAVAILABLE, "restarting")
            end = time.monotonic() + 20
            while "podresources" in _valid(pipeline) and time.monotonic() < end:
                time.sleep(PERIOD)
            silent = _valid(pipeline)
            kubelet.answer = answer
            while "podresources" not in _valid(pipeline) and time.monotonic() < end:
                time.sleep(PERIOD)

            assert "podresources" not in silent
            assert "podresources" in _valid(pipeline)
            assert len(asked) == 3
            assert sorted(api.claims_asked) == asked
        finally:
            pipeline.close()


def _valid(pipeline: Pipeline) -> set[str]:
    """Take a step; give the sources that have something valid to say after it."""
    pipeline.step(patience=PERIOD)
    return {frame.source for frame in pipeline._board.frames().good}
