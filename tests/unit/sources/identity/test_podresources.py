# SPDX-License-Identifier: Apache-2.0
"""The kubelet's PodResources API: real answers of a real kubelet, and every way a socket can go wrong."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc  # noqa: TID251  # status codes for the server side
import pytest

from inferometer import config
from inferometer.model import Allocation, Claim, Reason, Trouble
from inferometer.sources.identity import podresources
from inferometer.sources.identity.allocations import STANDARD, Rules, parse
from kubelet.podresources import Impostor, Kubelet, always, message, rate_limited, recorded, refusing

FIXTURES = Path(__file__).parents[3] / "fixtures" / "kubelet"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kubelet.sock"


def source(path: Path, deadline: float = 30.0, max_message: int = 16 << 20, period: float = 5.0) -> Any:
    settings = config.PodResources(
        socket=str(path), deadline=config.Seconds(deadline), max_message=config.Size(max_message)
    )
    return closing(podresources.PodResources(settings, period))


def trouble(path: Path, **options: Any) -> Trouble:
    with source(path, **options) as reading, pytest.raises(Trouble) as caught:
        reading.read()
    assert str(path) in caught.value.message
    return caught.value


def claimed(namespace: str, pod: str, container: str, claim: str, uid: str, minor: int) -> Allocation:
    """What a DRA device of the recorded node must come out as."""
    device = f"gpu-{minor}"
    held = Claim(namespace, claim, "gpu.nvidia.com", "n1", device, uid=uid)
    return Allocation(namespace, pod, container, device, claim=held)


def gpu(last: str) -> str:
    return f"GPU-01000100-0000-0000-0000-00000000000{last}"


def test_device_plugin(path: Path) -> None:
    """Whole GPUs of the device plugin: one allocation for each id, with its resource name."""
    with Kubelet(path, always(recorded(FIXTURES / "podresources_deviceplugin_1.36.json"))), source(path) as reading:
        assert reading.read() == (
            Allocation("default", "gpu1", "c", gpu("4"), "nvidia.com/gpu"),
            Allocation("default", "gpu1", "c", gpu("7"), "nvidia.com/gpu"),
        )


def test_claims(path: Path) -> None:
    """DRA: each device of a claim once for each container, the claim's UID from the device's own CDI id.

    The recorded kubelet lists the CDI ids cumulatively, gives both containers both devices, and shows the pod with
    admin access as a holder of all eight GPUs: only the claim itself tells.
    """
    ext, two, watcher = (
        "b2af79cd-8241-4efb-ad54-9433250cc406",
        "15362eb3-b479-4204-b438-a7f2dc10aeb5",
        "5ba5374e-fb41-468a-ba11-f0a71d1d16d5",
    )
    with Kubelet(path, always(recorded(FIXTURES / "podresources_dra_1.36.json"))), source(path) as reading:
        assert reading.read() == (
            claimed("default", "ext1", "c", "ext1-extended-resources-chcf8", ext, 2),
            claimed("default", "ext1", "c", "ext1-extended-resources-chcf8", ext, 3),
            claimed("default", "two", "c1", "two-g-xbpqm", two, 1),
            claimed("default", "two", "c1", "two-g-xbpqm", two, 7),
            claimed("default", "two", "c2", "two-g-xbpqm", two, 1),
            claimed("default", "two", "c2", "two-g-xbpqm", two, 7),
            *[claimed("mon", "watcher", "c", "watcher-g-qx7c5", watcher, minor) for minor in range(8)],
        )


def test_time_slicing(path: Path) -> None:
    """Replica ids lose their suffix, which is kept apart: sixty pods on eight GPUs."""
    with (
        Kubelet(path, always(recorded(FIXTURES / "podresources_timeslicing_60pods_1.36.json"))),
        source(path) as reading,
    ):
        held = reading.read()
    assert len(held) == 60
    assert {each.device for each in held} <= {gpu(str(index)) for index in range(8)}
    assert all(each.replica is not None and 0 <= int(each.replica) < 10 for each in held)
    assert len({(each.device, each.replica) for each in held}) == 60
    assert held[0].resource == "nvidia.com/gpu"
    assert Allocation("default", "many-684c9f4969-n9xn7", "c", gpu("2"), "nvidia.com/gpu", "4") in held


def listed(*containers: Any) -> bytes:
    return message({"pod_resources": [{"name": "p", "namespace": "ns", "containers": list(containers)}]})


def test_ids() -> None:
    """MIG ids and renamed resources count; an RDMA card and an empty id do not."""
    devices = [
        {"resource_name": "nvidia.com/mig-1g.12gb", "device_ids": ["MIG-aa::7", "MIG-aa::8", "MIG-aa::8"]},
        {"resource_name": "example.com/anything", "device_ids": ["MIG-GPU-bb/1/0", "GPU-cc::3::1", ""]},
        {"resource_name": "rdma/hca", "device_ids": ["mlx5_0", "0000:03:00.0"]},
        {"resource_name": "nvidia.com/gpu", "device_ids": ["mlx5_0", "nvidia", "tegra"]},
    ]
    assert parse(listed({"name": "c", "devices": devices})) == (
        Allocation("ns", "p", "c", "GPU-cc", "example.com/anything", "3::1"),
        Allocation("ns", "p", "c", "MIG-GPU-bb/1/0", "example.com/anything"),
        Allocation("ns", "p", "c", "MIG-aa", "nvidia.com/mig-1g.12gb", "7"),
        Allocation("ns", "p", "c", "MIG-aa", "nvidia.com/mig-1g.12gb", "8"),
    )


def counted(resource: str, *ids: str, rules: Rules = STANDARD) -> list[tuple[str, str | None]]:
    """The device and replica of each id that counts."""
    answer = listed({"name": "c", "devices": [{"resource_name": resource, "device_ids": [*ids]}]})
    return [(each.device, each.replica) for each in parse(answer, rules)]


def test_ids_of_parts() -> None:
    """HAMi's and Volcano's ids stay as they are, for the card is not in them; Volcano's MiB and percents are no devices."""
    assert counted("nvidia.com/gpu", "GPU-aa-0", "GPU-aa-1") == [("GPU-aa-0", None), ("GPU-aa-1", None)]
    assert counted("volcano.sh/vgpu-number", "GPU-aa-0") == [("GPU-aa-0", None)]
    assert counted("volcano.sh/vgpu-memory", *(f"GPU-aa-memory-{number}" for number in range(30_000))) == []
    assert counted("volcano.sh/vgpu-cores", "GPU-aa-core-1") == []


def test_ids_of_gke() -> None:
    """Minor, GPU instance and shared slot, under NVIDIA's own resource name only."""
    ids = ("nvidia0", "nvidia1/gi0", "nvidia2/vgpu0", "nvidia3/gi4/vgpu1", "nvidia4/mps0", "nvidiactl")
    assert counted("nvidia.com/gpu", *ids) == [
        ("nvidia0", None),
        ("nvidia1/gi0", None),
        ("nvidia2", "vgpu0"),
        ("nvidia3/gi4", "vgpu1"),
    ]
    assert counted("example.com/gpu", "nvidia0") == []


def test_ids_of_amd() -> None:
    """PCI addresses and names of partitions, under AMD's resources only: other vendors' cards have PCI addresses too."""
    assert counted("amd.com/gpu", "0000:8A:00.0", "amdgpu_xcp_1", "renderD128") == [
        ("0000:8a:00.0", None),
        ("amdgpu_xcp_1", None),
    ]
    assert counted("intel.com/sriov", "0000:8a:00.0") == []


def test_ids_of_configured_resources() -> None:
    """Whatever a plugin calls its devices, if somebody says that they are GPUs."""
    assert counted("example.com/gpu", "card-1::2", rules=Rules.of((), ("example.com/gpu",))) == [("card-1", "2")]


UID = "b2af79cd-8241-4efb-ad54-9433250cc406"
OTHER = "15362eb3-b479-4204-b438-a7f2dc10aeb5"


def dynamic(*resources: Any) -> bytes:
    claim = {"claim_name": "c1", "claim_namespace": "ns", "claim_resources": list(resources)}
    return listed({"name": "c", "dynamic_resources": [claim]})


def resource(device: str, *cdi: str, driver: str = "gpu.nvidia.com", share: str = "") -> Any:
    named = {"driver_name": driver, "pool_name": "n1", "device_name": device, "cdi_devices": [{"name": n} for n in cdi]}
    return {**named, "share_id": share} if share else named


def test_other_drivers() -> None:
    """Devices of other DRA drivers, IMEX channels among them, are no GPUs."""
    others = [resource("channel-0", driver="compute-domain.nvidia.com"), resource("nic-0", driver="dranet.example.com")]
    assert parse(dynamic(*others)) == ()
    rules = Rules.of(("compute-domain.nvidia.com", "dranet.example.com"), ())
    assert [each.device for each in parse(dynamic(*others), rules)] == ["nic-0"]


@pytest.mark.parametrize("driver", ["gpu.amd.com", "gpu.intel.com", "gpu.example.com"])
def test_drivers_of_other_vendors(driver: str) -> None:
    """Their claims count as NVIDIA's do; a claim's UID is known where the CDI id holds it."""
    (allocation,) = parse(dynamic(resource("gpu-0", f"k8s.{driver}/gpu={UID}-gpu-0", driver=driver)))
    assert allocation.claim == Claim("ns", "c1", driver, "n1", "gpu-0", uid=UID)


def test_device_is_counted_once() -> None:
    """A device that the kubelet repeats (pods of a shared claim that start together) is one allocation."""
    repeated = resource("gpu-0", f"k8s.gpu.nvidia.com/claim={UID}-gpu-0")
    assert len(parse(dynamic(repeated, repeated))) == 1


@pytest.mark.parametrize(
    ("device", "share", "cdi", "uid"),
    [
        ("gpu-1", "", [f"k8s.gpu.nvidia.com/claim={OTHER}-gpu-10", f"k8s.gpu.nvidia.com/claim={UID}-gpu-1"], UID),
        ("gpu-0-mig-1g12gb-19-0", "", [f"k8s.gpu.nvidia.com/claim={UID}-gpu-0-mig-1g12gb-19-0"], UID),
        (
            "gpu-0",
            "s1",
            [f"k8s.gpu.nvidia.com/claim={OTHER}-gpu-0-s2", f"k8s.gpu.nvidia.com/claim={UID}-gpu-0-s1"],
            UID,
        ),
        ("gpu-0", "", [f"k8s.gpu.nvidia.com/claim={UID}-gpu-1"], None),
        ("gpu-0", "", ["k8s.gpu.nvidia.com/gpu=gpu-0", "nvidia.com/gpu=all", "", "="], None),
        ("gpu-0", "", [], None),
    ],
    ids=["prefix", "mig", "share", "another-device", "no-claim-id", "none"],
)
def test_claim_uid(device: str, share: str, cdi: list[str], uid: str | None) -> None:
    """The claim's UID comes from the CDI id that names the device, and is absent rather than another's."""
    (held,) = parse(dynamic(resource(device, *cdi, share=share)))
    assert held.claim == Claim("ns", "c1", "gpu.nvidia.com", "n1", device, uid=uid, share_id=share or None)


def test_order_does_not_matter() -> None:
    """The kubelet's order of pods and devices, which changes, does not change the result."""
    one, two = resource("gpu-0", f"x/claim={UID}-gpu-0"), resource("gpu-1", f"x/claim={UID}-gpu-1")
    assert parse(dynamic(one, two)) == parse(dynamic(two, one))


def test_unknown_fields() -> None:
    """Fields of a newer kubelet are skipped."""
    newer = b"\xf2\x06\x03new"  # field 110, three bytes
    plain = listed({"name": "c", "devices": [{"resource_name": "r", "device_ids": ["GPU-a"]}]})
    assert parse(plain + newer) == parse(plain) != ()


def test_empty_node(path: Path) -> None:
    """A node without pods is an answer like any other."""
    with Kubelet(path, always(b"")), source(path) as reading:
        assert reading.read() == ()


def test_change_is_seen(path: Path) -> None:
    """Each read asks the kubelet, and an unchanged answer gives the same allocations."""
    with Kubelet(path, always(b"")) as kubelet, source(path) as reading:
        assert reading.read() == ()
        kubelet.answer = always(listed({"name": "c", "devices": [{"resource_name": "r", "device_ids": ["GPU-a"]}]}))
        first = reading.read()
        assert first == (Allocation("ns", "p", "c", "GPU-a", "r"),)
        assert reading.read() is first
        assert kubelet.asked == 3


def test_no_socket(path: Path) -> None:
    """A node without Kubernetes is a normal state: the path and what to do are named."""
    found = trouble(path)
    assert (found.reason, found.message) == (Reason.MISSING, f"{path}: no such socket")
    assert "directory" in found.remedy


def test_no_socket_but_a_directory(path: Path) -> None:
    """What a container runtime makes of a missing hostPath is told from a socket."""
    path.mkdir()
    assert trouble(path).reason is Reason.MISSING


def test_dead_socket(path: Path) -> None:
    """A socket file whose kubelet is gone is refused."""
    Impostor(path, b"").close()
    assert trouble(path).reason is Reason.REFUSED


@contextmanager
def unprivileged() -> Iterator[None]:
    """Lose root's power over file modes, where the tests have it."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("closed", ["socket", "directory"])
def test_not_allowed(closed: str) -> None:
    """A socket of root's, or in a directory of root's, is a matter of permission, and says so."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kubelet.sock"
        with Kubelet(path, always(b"")):
            Path(folder).chmod(0o755)
            (path if closed == "socket" else path.parent).chmod(0)
            with unprivileged():
                found = trouble(path)
            Path(folder).chmod(0o700)
    assert found.reason is Reason.PERMISSION


def test_hanging(path: Path) -> None:
    """A kubelet that does not answer ends at the deadline."""
    with Kubelet(path, always(b"")) as kubelet:
        kubelet.answer = kubelet.hang
        assert trouble(path, deadline=0.3).reason is Reason.TIMEOUT


def test_accepts_and_hangs(path: Path) -> None:
    """So does a stopped one, which accepts and never says a word of HTTP/2."""
    with closing(Impostor(path, b"", hang_up=False)):
        assert trouble(path, deadline=0.3).reason in {Reason.TIMEOUT, Reason.REFUSED}


@pytest.mark.parametrize("noise", [b"HTTP/1.1 200 OK\r\n\r\n", b"\x00" * 1000, b""], ids=["http1", "zeros", "nothing"])
def test_another_protocol(path: Path, noise: bytes) -> None:
    """What is no gRPC server is refused, without waiting for ever."""
    with closing(Impostor(path, noise)):
        assert trouble(path, deadline=1).reason in {Reason.TIMEOUT, Reason.REFUSED, Reason.MALFORMED}


@pytest.mark.parametrize("garbage", [b"\xff" * 50, listed({"name": "c"})[:-1]], ids=["noise", "cut"])
def test_garbage(path: Path, garbage: bytes) -> None:
    """A message that is none, or half of one, is malformed."""
    with Kubelet(path, always(garbage)):
        assert trouble(path).reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (rate_limited(), Reason.REJECTED),
        (refusing(grpc.StatusCode.PERMISSION_DENIED, "no"), Reason.PERMISSION),
        (refusing(grpc.StatusCode.INTERNAL, "broken"), Reason.MALFORMED),
        (refusing(grpc.StatusCode.NOT_FOUND, "gone"), Reason.REJECTED),
    ],
    ids=["rate-limit", "denied", "internal", "other"],
)
def test_status(path: Path, answer: Any, reason: Reason) -> None:
    """A refusal of the kubelet is counted by what it means."""
    with Kubelet(path, answer):
        assert trouble(path).reason is reason


def test_too_large(path: Path) -> None:
    """An answer beyond the limit is refused by name; the same one passes a larger limit."""
    large = listed(*[{"name": f"c{index}" * 100} for index in range(100)])
    with Kubelet(path, always(large)):
        found = trouble(path, max_message=10_000)
        assert found.reason is Reason.TOO_LARGE
        assert "max_message" in found.remedy
        with source(path) as reading:
            assert reading.read() == ()


def test_more_than_a_node_can_hold(path: Path) -> None:
    """An answer with more holdings than any node has is refused before it fills the memory."""
    ids = [f"GPU-{number}" for number in range(20_001)]
    crowded = listed({"name": "c", "devices": [{"resource_name": "nvidia.com/gpu", "device_ids": ids}]})
    with Kubelet(path, always(crowded)):
        found = trouble(path)
        assert found.reason is Reason.MALFORMED
        assert "20000" in found.message


def test_beyond_grpc_default(path: Path) -> None:
    """An answer of more than gRPC's default of 4 MiB passes."""
    with Kubelet(path, always(listed({"name": "c" * (5 << 20)}))), source(path) as reading:
        assert reading.read() == ()


def test_old_kubelet(path: Path) -> None:
    """A kubelet that serves only v1alpha1 is unsupported, not broken."""
    with Kubelet(path, always(b""), service="v1alpha1.PodResourcesLister"):
        assert trouble(path).reason is Reason.UNSUPPORTED


def test_restart(path: Path) -> None:
    """A kubelet that ends, and comes back on a new socket, is read at once, without gRPC's back-off."""
    with source(path) as reading:
        with Kubelet(path, always(b"")):
            assert reading.read() == ()
        for _ in range(3):
            with pytest.raises(Trouble):
                reading.read()
        path.unlink(missing_ok=True)
        with Kubelet(path, always(listed({"name": "c", "devices": [{"resource_name": "r", "device_ids": ["GPU-a"]}]}))):
            assert len(reading.read()) == 1


def test_replaced_socket(path: Path) -> None:
    """When another kubelet binds the path while the old one still runs, the new one is asked."""
    with source(path) as reading, Kubelet(path, always(b"")) as old:
        assert reading.read() == ()
        path.rename(path.with_name("old.sock"))
        with Kubelet(path, always(b"")) as new:
            assert reading.read() == ()
            assert (old.asked, new.asked) == (1, 1)


def test_close_ends_a_read(path: Path) -> None:
    """Closing from another thread ends a read that waits."""
    with Kubelet(path, always(b"")) as kubelet, source(path, deadline=60) as reading:
        kubelet.answer = kubelet.hang
        closer = threading.Timer(0.2, reading.close)
        closer.start()
        with pytest.raises(Trouble):
            reading.read()
        closer.join()


def test_a_claim_that_the_kubelet_leaves_out_stands_in_for_one_grace(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container whose claim is not in the kubelet's cache is answered for with nothing: what was said before counts, marked."""
    whole = dynamic(resource("gpu-0", f"x/claim={UID}-gpu-0"), resource("gpu-1", f"x/claim={UID}-gpu-1"))
    with Kubelet(path, always(whole)) as kubelet, source(path, period=50.0) as reading:
        first = reading.read()
        kubelet.answer = always(listed({"name": "c"}))
        second = reading.read()
        assert second == tuple(replace(each, kept=True) for each in first)
        assert reading.blanked == 1
        later = time.monotonic() + 101.0
        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: later)
            assert reading.read() == ()
        assert reading.blanked == 0
        kubelet.answer = always(whole)
        assert reading.read() == first


@pytest.mark.parametrize(
    "after",
    [b"", listed({"name": "other"}), listed({"name": "c", "dynamic_resources": [{"claim_name": "c2"}]})],
    ids=["no-pod", "another-container", "another-claim"],
)
def test_what_the_kubelet_says_of_a_container_is_believed(path: Path, after: bytes) -> None:
    """A pod that it no longer lists, and a container with other claims, hold nothing of before."""
    with Kubelet(path, always(dynamic(resource("gpu-0")))) as kubelet, source(path) as reading:
        assert len(reading.read()) == 1
        kubelet.answer = always(after)
        assert reading.read() == ()


def test_devices_of_a_plugin_never_stand_in(path: Path) -> None:
    """The kubelet's device manager leaves nothing out: a container without devices has none."""
    plugin = listed({"name": "c", "devices": [{"resource_name": "r", "device_ids": ["GPU-a"]}]})
    with Kubelet(path, always(plugin)) as kubelet, source(path) as reading:
        assert len(reading.read()) == 1
        kubelet.answer = always(listed({"name": "c"}))
        assert reading.read() == ()


def test_relative_path(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is a path, not a host name."""
    monkeypatch.chdir(path.parent)
    with Kubelet(path, always(b"")), source(Path(path.name)) as reading:
        assert reading.read() == ()
