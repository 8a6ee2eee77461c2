# SPDX-License-Identifier: Apache-2.0
"""ResourceClaims and ResourceSlices as the API server writes them, and quantities."""

import json
from pathlib import Path
from typing import Any

import pytest

from inferometer.model import PooledDevice
from inferometer.sources.identity.claim_object import project
from inferometer.sources.identity.quantity import parse_quantity
from inferometer.sources.identity.slice_object import pooled

RECORDED = Path(__file__).parents[3] / "fixtures" / "kubelet" / "api_dra_1.36.json"
DRIVERS = ("gpu.nvidia.com", "gpu.amd.com", "gpu.intel.com", "gpu.example.com")


def items(kind: str) -> list[Any]:
    return [item for item in json.loads(RECORDED.read_text())["items"] if item["kind"] == kind]


def allocated(*results: Any, **status: Any) -> Any:
    return {
        "metadata": {"namespace": "ns", "name": "x", "uid": "u"},
        "status": {"allocation": {"devices": {"results": list(results), **status.pop("devices", {})}}, **status},
    }


def result(**more: Any) -> Any:
    return {"request": "a", "driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-0", **more}


def test_the_recorded_claims_tell_requests_and_admin_access() -> None:
    """A real API server's answer: two requests of one claim, a prioritized alternative, an observer of all GPUs."""
    recorded = {c["metadata"]["name"]: project(c) for c in items("ResourceClaim")}

    assert [(g.device, g.request, g.admin) for g in recorded["two-g-xbpqm"].grants] == [
        ("gpu-7", "a", False),
        ("gpu-1", "b/any", False),
    ]
    assert {g.admin for g in recorded["watcher-g-qx7c5"].grants} == {True}
    assert len(recorded["watcher-g-qx7c5"].grants) == 8
    assert recorded["ext1-extended-resources-chcf8"].uid == "b2af79cd-8241-4efb-ad54-9433250cc406"
    assert all(claim.complete for claim in recorded.values())


def test_a_share_is_read_with_what_it_consumes() -> None:
    """KEP-5075: the share's id, and capacities as numbers; a name with the driver's domain is the driver's own."""
    consumed = {"memory": "10Gi", "gpu.nvidia.com/shares": "2", "millicores": "500m", "broken": "many"}
    (grant,) = project(allocated(result(shareID="s-1", consumedCapacity=consumed))).grants

    assert grant.share_id == "s-1"
    assert dict(grant.consumed) == {"memory": 10 * 2**30, "shares": 2.0, "millicores": 0.5}


def test_the_claims_own_sharing_goes_before_its_class() -> None:
    """The strategy of a GpuConfig or MigDeviceConfig of any version; other drivers' parameters mean nothing here."""

    def configured(source: str, strategy: str, group: str = "resource.nvidia.com") -> Any:
        parameters = {"apiVersion": f"{group}/v1beta1", "kind": "GpuConfig", "sharing": {"strategy": strategy}}
        return {"source": source, "opaque": {"driver": "gpu.nvidia.com", "parameters": parameters}}

    def sharing(*configs: Any) -> str:
        return project(allocated(result(), devices={"config": list(configs)})).grants[0].sharing

    assert sharing(configured("FromClass", "TimeSlicing"), configured("FromClaim", "MPS")) == "MPS"
    assert sharing(configured("FromClass", "TimeSlicing")) == "TimeSlicing"
    assert sharing(configured("FromClaim", "MPS", "gpu.example.com"), {"source": "FromClaim"}) == ""
    assert sharing(configured("FromClaim", "Unheard")) == ""


def test_a_configuration_is_for_the_requests_that_it_names() -> None:
    """Or for all; of a prioritized list it may name the alternative, or the list."""

    def configured(*requests: str) -> Any:
        parameters = {"apiVersion": "resource.nvidia.com/v1beta1", "sharing": {"strategy": "MPS"}}
        return {"source": "FromClaim", "requests": list(requests), "opaque": {"parameters": parameters}}

    def sharing(config: Any) -> list[str]:
        results = (result(), result(request="b/small", device="gpu-1"))
        return [grant.sharing for grant in project(allocated(*results, devices={"config": [config]})).grants]

    assert sharing(configured()) == ["MPS", "MPS"]
    assert sharing(configured("a")) == ["MPS", ""]
    assert sharing(configured("b")) == sharing(configured("b/small")) == ["", "MPS"]
    assert sharing(configured("b/large")) == ["", ""]


def test_a_claim_may_be_reserved_for_a_group_of_pods() -> None:
    """KEP-5729: `reservedFor` is not a list of pods."""
    users = [
        {"resource": "pods", "name": "p", "uid": "1"},
        {"apiGroup": "scheduling.k8s.io", "resource": "podgroups", "name": "gang", "uid": "2"},
    ]
    assert project(allocated(result(), reservedFor=users)).groups == ("gang",)


def test_a_claim_that_is_not_allocated_grants_nothing() -> None:
    """A pending claim has no status; it is a claim all the same."""
    assert project({"metadata": {"namespace": "ns", "name": "x", "uid": "u"}}).grants == ()


@pytest.mark.parametrize(
    "told", [[], {}, None, {"metadata": []}, {"metadata": {"name": "x"}}, allocated() | {"status": 7}, allocated({})]
)
def test_another_form_is_refused(told: Any) -> None:
    """What is no ResourceClaim is said to be none."""
    with pytest.raises(ValueError, match="not a ResourceClaim"):
        project(told)


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ("0", 0.0),
        ("80Gi", 80 * 2.0**30),
        ("1Ki", 1024.0),
        ("1k", 1000.0),
        ("1.5Gi", 1.5 * 2**30),
        ("500m", 0.5),
        ("100m", 0.1),
        ("3n", 3e-9),
        ("7u", 7e-6),
        ("1E", 1e18),
        ("1Ei", 2.0**60),
        ("1e3", 1000.0),
        ("1E3", 1000.0),
        ("12e-1", 1.2),
        ("+5M", 5e6),
        ("-1G", -1e9),
        (".5", 0.5),
        ("5.", 5.0),
        ("2T", 2e12),
        ("2Ti", 2.0**41),
        ("1Pi", 2.0**50),
        ("4P", 4e15),
        ("6Mi", 6 * 2.0**20),
        (8, 8.0),
        (0.25, 0.25),
    ],
)
def test_quantities(told: Any, value: float) -> None:
    """The forms of apimachinery's `quantity.go`: decimal and binary suffixes and exponents, exactly."""
    assert parse_quantity(told) == value


@pytest.mark.parametrize(
    "told",
    [
        *("", " 1", "1 ", "1 Gi", "Gi", "1gi", "1K", "1kk", "1e", "e3", "1e3Ki", "0x10", "1_000", "nan", "inf", "--1"),
        *("1e999", "\u0661", "1" * 65, None, True, [], {}, float("nan"), float("inf")),
    ],
)
def test_what_is_no_quantity_is_refused(told: Any) -> None:
    """A capacity is a number or unknown, never nonsense."""
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(told)


def test_the_recorded_slice_names_the_hardware() -> None:
    """A real ResourceSlice of the NVIDIA driver: UUID, PCI address, kind and memory of eight GPUs."""
    read = pooled({"items": items("ResourceSlice")}, DRIVERS)

    assert len(read.devices) == 8
    assert not read.partial
    assert read.devices[2] == PooledDevice(
        "gpu.nvidia.com",
        "n1",
        "gpu-2",
        kind="gpu",
        uuid="GPU-01000100-0000-0000-0000-000000000002",
        pci_address="0000:4a:00.0",
        capacity={"memory": 80 * 2.0**30},
    )


def sliced(*devices: Any, driver: str = "gpu.nvidia.com", generation: int = 1, of: int = 1) -> Any:
    pool = {"name": "n1", "generation": generation, "resourceSliceCount": of}
    return {"spec": {"driver": driver, "pool": pool, "nodeName": "n1", "devices": list(devices)}}


def named(name: str, **attributes: str) -> Any:
    return {"name": name, "attributes": {key: {"string": value} for key, value in attributes.items()}}


@pytest.mark.parametrize(
    ("driver", "device", "expected"),
    [
        (
            "gpu.nvidia.com",
            named("gpu-0-mig-1g12gb-19-0", type="mig", uuid="MIG-1", parentUUID="GPU-1", profile="1g.12gb"),
            {"kind": "mig", "uuid": "MIG-1", "parent_uuid": "GPU-1", "profile": "1g.12gb"},
        ),
        (
            "gpu.nvidia.com",
            named("gpu-vfio-0", **{"type": "vfio", "uuid": "GPU-1", "resource.kubernetes.io/pciBusID": "0000:0A:00.0"}),
            {"kind": "vfio", "uuid": "GPU-1", "pci_address": "0000:0a:00.0"},
        ),
        (
            "gpu.amd.com",
            named("gpu-1-129", **{"type": "amdgpu", "gpu.amd.com/pciAddr": "0000:83:00.0"}),
            {"kind": "amdgpu", "pci_address": "0000:83:00.0"},
        ),
        (
            "gpu.amd.com",
            named("gpu-2-130", type="amdgpu-partition", parentPciAddr="0000:83:00.0", partitionProfile="cpx_nps4"),
            {"kind": "amdgpu-partition", "pci_address": "0000:83:00.0", "profile": "cpx_nps4"},
        ),
        (
            "gpu.intel.com",
            named("0000-03-00-0-0x56a0", **{"type": "gpu", "resource.kubernetes.io/pciBusID": "0000:03:00.0"}),
            {"kind": "gpu", "pci_address": "0000:03:00.0"},
        ),
        (
            "gpu.example.com",
            named("gpu-0-partition-1", uuid="gpu-18db0e85") | {"allowMultipleAllocations": True},
            {"uuid": "gpu-18db0e85", "shared": True},
        ),
    ],
    ids=["mig", "vfio", "amd", "amd-partition", "intel", "example"],
)
def test_each_drivers_attributes(driver: str, device: Any, expected: Any) -> None:
    """Every vendor names the hardware its own way; an attribute without a domain is the driver's."""
    (read,) = pooled({"items": [sliced(device, driver=driver)]}, DRIVERS).devices
    assert read == PooledDevice(driver, "n1", device["name"], **expected)


def test_only_the_newest_generation_counts_and_only_as_a_whole() -> None:
    """While a driver rewrites its pool, devices may stand in no slice or in one of the past."""
    old, new = sliced(named("old"), of=1), [sliced(named(f"new-{n}"), generation=2, of=2) for n in range(2)]

    assert [d.device for d in pooled({"items": [old, *new]}, DRIVERS).devices] == ["new-0", "new-1"]
    partial = pooled({"items": [old, new[0]]}, DRIVERS)
    assert partial.devices == ()
    assert partial.partial == {("gpu.nvidia.com", "n1")}
    assert [d.device for d in pooled({"items": [new[0], old, new[1]]}, DRIVERS).devices] == ["new-0", "new-1"]


def test_other_drivers_and_counters_are_left_out() -> None:
    """IMEX channels are no GPUs; a slice of counters alone belongs to its pool all the same."""
    counters = {"spec": {**sliced(of=2)["spec"], "sharedCounters": [{"name": "c"}]}}
    del counters["spec"]["devices"]
    listed = [sliced(named("channel-0"), driver="compute-domain.nvidia.com"), counters, sliced(named("gpu-0"), of=2)]
    assert [d.device for d in pooled({"items": listed}, DRIVERS).devices] == ["gpu-0"]


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"items": 7},
        {"items": [7]},
        {"items": [{"spec": {}}]},
        {"items": [sliced(7)]},
        {"items": [sliced({})]},
    ],
)
def test_what_is_no_list_of_slices_is_refused(told: Any) -> None:
    """A clear error, not half a node."""
    with pytest.raises(ValueError, match="not a list of ResourceSlices"):
        pooled(told, DRIVERS)
