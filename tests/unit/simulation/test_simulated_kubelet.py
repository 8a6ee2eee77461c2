# SPDX-License-Identifier: Apache-2.0
"""The simulated kubelet, asked by a real gRPC client on its socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc  # noqa: TID251  # the client side of the test
import pytest
from google.protobuf.message import Message

from inferometer.proto import podresources_pb2 as pb
from inferometer.simulation.node import SimulatedNode


class Client:
    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def call(self, method: str, request: Message, response: type[Message]) -> Message:
        stub = self._channel.unary_unary(
            f"/v1.PodResourcesLister/{method}",
            request_serializer=lambda r: r.SerializeToString(),
            response_deserializer=response.FromString,
        )
        answer = stub(request, timeout=30)
        assert isinstance(answer, response)
        return answer

    def list(self) -> pb.ListPodResourcesResponse:
        answer = self.call("List", pb.ListPodResourcesRequest(), pb.ListPodResourcesResponse)
        assert isinstance(answer, pb.ListPodResourcesResponse)
        return answer


@contextmanager
def connect(node: SimulatedNode) -> Iterator[Client]:
    with grpc.insecure_channel(f"unix:{node.endpoints.kubelet_socket}") as channel:
        yield Client(channel)


def container(answer: pb.ListPodResourcesResponse, pod: str, index: int = 0) -> pb.ContainerResources:
    return next(p for p in answer.pod_resources if p.name == pod).containers[index]


def test_it_lists_what_the_ledger_holds(node: SimulatedNode) -> None:
    """Device ids and claims of the answer are the ledger's holdings, and no others."""
    with connect(node) as client:
        answer = client.list()
    ledger = node.ledger()
    told = set()
    for pod in answer.pod_resources:
        for c in pod.containers:
            told |= {(pod.namespace, pod.name, c.name, i.split("::")[0]) for d in c.devices for i in d.device_ids}
            told |= {(pod.namespace, pod.name, c.name, d.claim_name) for d in c.dynamic_resources}
    held = {(h.namespace, h.pod, h.container, h.claim_name or h.device) for h in ledger.holdings}
    assert told == held
    assert {p.name for p in answer.pod_resources} == {p.name for p in ledger.pods}


def test_each_device_id_has_an_entry_of_its_own(node: SimulatedNode) -> None:
    """Two GPUs of one container are two entries of one resource, and so are two time slices."""
    with connect(node) as client:
        answer = client.list()
    chat = container(answer, "chat-6f9c7d5b8d-x7k2p").devices
    assert [(d.resource_name, len(d.device_ids)) for d in chat] == [("nvidia.com/gpu", 1)] * 2
    batch = container(answer, "nightly-eval-lq8rn").devices
    gpu = next(d.uuid for d in node.ledger().devices if d.index == 3)
    assert [list(d.device_ids) for d in batch] == [[f"{gpu}::1"], [f"{gpu}::2"]]


def test_a_claim_is_told_whole_to_everyone_who_names_it(node: SimulatedNode) -> None:
    """Both pods of the shared claim, and both containers of the notebook, get the same claim and device."""
    with connect(node) as client:
        answer = client.list()
    shared = [container(answer, p).dynamic_resources for p in ("search-ranker-0", "search-index-b7d4c8f66-tz5vk")]
    twice = [container(answer, "notebook-dana-0", i).dynamic_resources for i in (0, 1)]
    for one, other in (shared, twice):
        assert list(one) == list(other)
    assert shared[0][0].claim_resources[0].device_name == "gpu-5"  # GPU 4 by its minor number


def test_cdi_devices_accumulate_over_the_devices_of_a_claim(node: SimulatedNode) -> None:
    """The second device also lists the first one's CDI id, as the real kubelet's does."""
    node.pod_starts("burst")
    with connect(node) as client:
        (claim,) = container(client.list(), "burst-2kq7d").dynamic_resources
    uid = next(h.claim_uid for h in node.ledger().holdings if h.pod == "burst-2kq7d")
    ids = [f"k8s.gpu.nvidia.com/claim={uid}-{name}" for name in ("gpu-7", "gpu-2-mig-1g10gb-19-6")]
    assert [[c.name for c in r.cdi_devices] for r in claim.claim_resources] == [ids[:1], ids]
    assert not any(r.HasField("share_id") for r in claim.claim_resources)


def test_it_answers_for_one_pod_and_refuses_an_unknown_one(node: SimulatedNode) -> None:
    """Get finds a pod by namespace and name."""
    with connect(node) as client:
        request = pb.GetPodResourcesRequest(pod_name="guard-0", pod_namespace="safety")
        found = client.call("Get", request, pb.GetPodResourcesResponse)
        assert isinstance(found, pb.GetPodResourcesResponse)
        assert found.pod_resources.name == "guard-0"
        with pytest.raises(grpc.RpcError, match="not found"):
            client.call("Get", pb.GetPodResourcesRequest(pod_name="guard-0"), pb.GetPodResourcesResponse)


def test_allocatable_has_the_plugin_s_devices_held_or_not(node: SimulatedNode) -> None:
    """Three whole GPUs, a MIG instance and four slices, whoever runs; DRA's devices are not in it."""
    node.pod_dies("code")
    with connect(node) as client:
        answer = client.call(
            "GetAllocatableResources", pb.AllocatableResourcesRequest(), pb.AllocatableResourcesResponse
        )
    assert isinstance(answer, pb.AllocatableResourcesResponse)
    assert len({i for d in answer.devices for i in d.device_ids}) == 8


def test_a_dead_pod_is_gone_from_the_next_answer(node: SimulatedNode) -> None:
    """The kubelet of today lists active pods only."""
    node.pod_dies("guard")
    with connect(node) as client:
        assert "guard-0" not in {p.name for p in client.list().pod_resources}


def test_the_socket_goes_away_and_comes_back_another(node: SimulatedNode) -> None:
    """A kubelet that restarts leaves a new socket at the old path."""
    path = Path(node.endpoints.kubelet_socket)
    node.kubelet_down()
    assert not path.exists()
    node.replace_kubelet_socket()
    node.replace_kubelet_socket()
    assert path.is_socket()
    with connect(node) as client:
        assert client.list().pod_resources
