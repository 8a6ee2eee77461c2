# SPDX-License-Identifier: Apache-2.0
"""The devices of this node's ResourceSlices, asked for only when there is a reason to."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from inferometer import config
from inferometer.model import Reason, Trouble
from inferometer.sources.identity import slices as module
from inferometer.sources.identity.slices import Named, Slices
from kubelet.api import ApiServer
from kubelet.certificates import Certificates, issue

RECORDED = Path(__file__).parents[3] / "fixtures" / "kubelet" / "api_dra_1.36.json"
DRIVER = "gpu.nvidia.com"
GPU_0 = (DRIVER, "n1", "gpu-0")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def api(certificates: Certificates) -> Iterator[ApiServer]:
    with ApiServer(certificates) as server:
        server.slices = [i for i in json.loads(RECORDED.read_text())["items"] if i["kind"] == "ResourceSlice"]
        yield server


@pytest.fixture
def source(api: ApiServer, certificates: Certificates, tmp_path: Path) -> Iterator[Slices]:
    (tmp_path / "token").write_text(api.token)
    settings = config.Pods(
        server=api.url,
        token_file=str(tmp_path / "token"),
        ca_file=str(certificates.ca),
        deadline=config.Seconds(30),
    )
    with closing(Slices(settings, [DRIVER], "n1", 60.0)) as source:
        yield source


def aim(source: Slices, *named: tuple[str, str, str], hardware: Any = None, shared: bool = False) -> bool:
    told = frozenset(Named(*each, shared=shared) for each in named)
    return source.aim(told, None if hardware is None else frozenset(hardware))


def test_the_slices_of_this_node_are_listed_once(api: ApiServer, source: Slices) -> None:
    """By the node's name, from the API server's cache; nothing is asked again without a reason."""
    assert aim(source, GPU_0)
    for _ in range(3):
        read = source.read()
        assert not aim(source, GPU_0)

    assert [(d.device, d.uuid[-1]) for d in read] == [(f"gpu-{n}", str(n)) for n in range(8)]
    assert api.slices_asked == [{"fieldSelector": "spec.nodeName=n1", "resourceVersion": "0"}]


def test_slices_of_another_node_are_not_asked_for(api: ApiServer, source: Slices) -> None:
    """No cluster-wide list, whatever the cluster has."""
    other = json.loads(json.dumps(api.slices[0]))
    other["spec"] |= {"nodeName": "n2", "pool": {"name": "n2", "generation": 1, "resourceSliceCount": 1}}
    api.slices.append(other)

    assert {device.pool for device in source.read()} == {"n1"}


def test_a_device_that_is_not_known_is_looked_for_at_once_and_then_patiently(
    api: ApiServer, source: Slices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim on a MIG instance that was made a moment ago; one that never shows is not asked for each period."""
    source.read()
    made = (DRIVER, "n1", "gpu-0-mig-1g12gb-19-0")

    assert aim(source, GPU_0, made)
    source.read()
    assert not aim(source, GPU_0, made)
    source.read()
    assert len(api.slices_asked) == 2

    monkeypatch.setattr(module, "MISSED", (0.0, 0.0))
    assert aim(source, GPU_0, made, (DRIVER, "n1", "another"))
    source.read()
    api.slices[0]["spec"]["devices"].append({"name": "gpu-0-mig-1g12gb-19-0"})
    assert made[2] in {device.device for device in source.read()}


def test_a_share_of_a_device_that_was_not_to_be_shared_is_a_reason(
    api: ApiServer, source: Slices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that was told to share its GPUs writes its pool anew; the first claim for a share tells of it."""
    assert not any(device.shared for device in source.read())
    shared = next(device for device in api.slices[0]["spec"]["devices"] if device["name"] == GPU_0[2])
    shared["allowMultipleAllocations"] = True

    assert not aim(source, GPU_0)
    assert aim(source, GPU_0, shared=True)
    assert [device.device for device in source.read() if device.shared] == ["gpu-0"]
    assert not aim(source, GPU_0, shared=True)

    monkeypatch.setattr(module, "MISSED", (10.0, 10.0))
    gpu_1 = (DRIVER, "n1", "gpu-1")
    for _ in range(3):  # what the slices do not bear out is asked for once, and then patiently
        aim(source, GPU_0, gpu_1, shared=True)
        source.read()
    assert len(api.slices_asked) == 3


def test_an_old_answer_of_another_cache_is_not_believed(
    api: ApiServer, source: Slices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API server whose cache is behind what another one said is asked for what is so now; that is believed, whatever it is."""
    monkeypatch.setattr(module, "AGE", (0.0, 0.0))
    api.slices_version = 100
    source.read()
    api.slices_version = 90
    source.read()

    assert ["resourceVersion" in query for query in api.slices_asked] == [True, True, False]
    source.read()
    assert len(api.slices_asked) == 4


def test_what_the_cache_has_not_is_asked_of_the_server_itself(
    api: ApiServer, source: Slices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler has seen the device that it gave away."""
    monkeypatch.setattr(module, "MISSED", (0.0, 0.0))
    aim(source, (DRIVER, "n1", "gpu-99"))
    source.read()
    aim(source, (DRIVER, "n1", "gpu-99"))
    source.read()

    assert ["resourceVersion" in query for query in api.slices_asked] == [True, False]


def test_a_server_that_asks_to_be_left_alone_is(
    api: ApiServer, source: Slices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """API priority and fairness answers 429 with a Retry-After."""
    monkeypatch.setattr(module, "BACKOFF", (0.0, 0.0))
    api.slice_fault, api.retry_after = 429, "60"
    for _ in range(3):
        with pytest.raises(Trouble):
            source.read()

    assert len(api.slices_asked) == 1


def test_a_claim_of_another_driver_is_no_reason(source: Slices) -> None:
    """A network card's device is nobody's here."""
    source.read()
    assert not aim(source, ("dranet", "n1", "nic-0"))


def test_other_hardware_is_a_reason(api: ApiServer, source: Slices, monkeypatch: pytest.MonkeyPatch) -> None:
    """When MIG is reconfigured the slices are read at once and again a little later: the driver publishes after NVML shows."""
    monkeypatch.setattr(module, "AFTER_CHANGE", (0.0, 0.0))
    aim(source, hardware=["GPU-1"])
    source.read()
    assert not aim(source, hardware=["GPU-1"])
    assert not aim(source)  # a silent driver is no change
    assert not aim(source, hardware=["GPU-1"])

    assert aim(source, hardware=["GPU-1", "MIG-1"])
    source.read()
    assert len(api.slices_asked) == 2


@pytest.mark.parametrize(
    ("fault", "reason", "says"),
    [
        (403, Reason.PERMISSION, "listing resourceslices is not allowed"),
        (401, Reason.PERMISSION, "401"),
        (404, Reason.UNSUPPORTED, "resource.k8s.io/v1 is not served"),
        (500, Reason.REJECTED, "500"),
        (429, Reason.REJECTED, "429"),
        (410, Reason.REJECTED, "410"),
        ("html", Reason.MALFORMED, "where ResourceSlices were asked for"),
    ],
)
def test_a_refusal_is_named_and_not_repeated_at_once(
    api: ApiServer, source: Slices, fault: int | str, reason: Reason, says: str
) -> None:
    """The trouble says what and where; the API server is left alone for a while, whatever claims name."""
    api.slice_fault = fault
    for _ in range(3):
        aim(source, GPU_0)
        with pytest.raises(Trouble) as caught:
            source.read()

    assert caught.value.reason is reason
    assert says in caught.value.message
    assert len(api.slices_asked) == 1


def test_the_missing_right_is_named(api: ApiServer, source: Slices) -> None:
    """The remedy is the rule to grant."""
    api.slice_fault = 403
    with pytest.raises(Trouble) as caught:
        source.read()

    assert '"resourceslices"' in caught.value.remedy


def test_what_is_known_holds_while_the_api_server_is_away(
    api: ApiServer, source: Slices, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A device does not become another one under a running claim; it is told once, and tried again."""
    monkeypatch.setattr(module, "AGE", (0.0, 0.0))
    monkeypatch.setattr(module, "BACKOFF", (0.0, 0.0))
    source.read()
    api.slice_fault = 500

    assert len(source.read()) == len(source.read()) == 8
    assert len(api.slices_asked) == 3
    assert len(caplog.messages) == 1
    assert source.behind() < source.behind()
    api.slice_fault = None
    api.slices.clear()
    assert source.read() == ()
    assert source.behind() == 0.0


def test_a_pool_that_is_being_rewritten_is_asked_for_again(api: ApiServer, source: Slices) -> None:
    """Until its slices are all there, its devices are not known, and it is looked at again soon."""
    api.slices[0]["spec"]["pool"]["resourceSliceCount"] = 2

    assert source.read() == ()
    assert source._due[0] < source._due[-1]  # before the ten minutes are over


def test_a_pool_that_is_being_rewritten_keeps_what_it_had(
    api: ApiServer, source: Slices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of a GPU does not become the whole of it because its driver is half way through its slices."""
    monkeypatch.setattr(module, "AGE", (0.0, 0.0))
    before = source.read()
    pool = api.slices[0]["spec"]["pool"]
    pool |= {"generation": pool["generation"] + 1, "resourceSliceCount": 2}

    assert before
    assert source.read() == before
    pool["resourceSliceCount"] = 1
    del api.slices[0]["spec"]["devices"][0]
    assert len(source.read()) == len(before) - 1
