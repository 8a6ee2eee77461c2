# SPDX-License-Identifier: Apache-2.0
"""The simulated kubelet: a real gRPC server of the PodResources v1 service on a unix socket, quirks included."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc  # noqa: TID251  # the simulated kubelet is a real gRPC server; only the demo and the tests load it
from google.protobuf.message import Message

from inferometer.proto import podresources_pb2 as pb
from inferometer.simulation.scenario import DRA_DRIVER, NODE, PODS, ContainerSpec, Place, PluginHold
from inferometer.simulation.world import LivePod, World

SERVICE = "v1.PodResourcesLister"

Read = Callable[[Callable[[World], Any]], Any]


def list_pods(world: World) -> pb.ListPodResourcesResponse:
    """Answer List: every pod of the node, with or without devices."""
    return pb.ListPodResourcesResponse(pod_resources=[_pod(world, pod) for pod in world.pods.values()])


def list_allocatable(world: World) -> pb.AllocatableResourcesResponse:
    """Answer GetAllocatableResources: the device plugin's devices only; DRA's are not in it."""
    holds = [h for spec in PODS for container in spec.containers for h in container.plugin]
    return pb.AllocatableResourcesResponse(devices=[d for hold in holds for d in _devices(world, hold)])


def _pod(world: World, pod: LivePod) -> pb.PodResources:
    containers = [_container(world, container) for container in pod.spec.containers]
    return pb.PodResources(name=pod.spec.name, namespace=pod.spec.namespace, containers=containers)


def _container(world: World, container: ContainerSpec) -> pb.ContainerResources:
    return pb.ContainerResources(
        name=container.name,
        devices=[device for hold in container.plugin for device in _devices(world, hold)],
        dynamic_resources=[_claim(world, key) for key in container.claims],
    )


def _devices(world: World, hold: PluginHold) -> list[pb.ContainerDevices]:
    """One entry for each device id, as the kubelet writes them."""
    return [
        pb.ContainerDevices(resource_name=hold.resource, device_ids=[device_id], topology=_topology(world, place))
        for place in hold.places
        for device_id in _ids(world.uuid(place), hold.replicas)
    ]


def _ids(uuid: str, replicas: tuple[int, ...]) -> list[str]:
    """The device plugin's ids: the UUID, or `<UUID>::<replica>` where the device is time-sliced."""
    return [f"{uuid}::{replica}" for replica in replicas] or [uuid]


def _topology(world: World, place: Place) -> pb.TopologyInfo:
    return pb.TopologyInfo(nodes=[pb.NUMANode(ID=world.gpus[place.gpu].spec.numa)])


def _claim(world: World, key: str) -> pb.DynamicResource:
    """All devices of a claim, whichever request the container asks for.

    `cdi_devices` grows from device to device: the kubelet declares the slice outside its loop (`GetDynamicResources` in
    `pkg/kubelet/cm/dra/manager.go`).
    """
    claim = world.claims[key]
    cdi: list[pb.CDIDevice] = []
    resources = []
    for _, place in claim.spec.results:
        name = world.device_name(place)
        cdi.append(pb.CDIDevice(name=f"k8s.{DRA_DRIVER}/claim={claim.uid}-{name}"))
        resources.append(pb.ClaimResource(cdi_devices=cdi, driver_name=DRA_DRIVER, pool_name=NODE, device_name=name))
    return pb.DynamicResource(
        claim_name=claim.spec.name, claim_namespace=claim.spec.namespace, claim_resources=resources
    )


class Kubelet:
    """The server on its socket. `read` applies a function to the world while nothing moves."""

    def __init__(self, path: Path, read: Read) -> None:
        self._path = path
        self._read = read
        self._server: grpc.Server | None = None
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Listen on a new socket at the path; an old one is replaced, as when a kubelet restarts."""
        self._path.unlink(missing_ok=True)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="simulated kubelet")
        self._server = grpc.server(self._pool)
        handlers = {
            "List": _method(lambda _request, _context: self._read(list_pods), pb.ListPodResourcesRequest),
            "GetAllocatableResources": _method(
                lambda _request, _context: self._read(list_allocatable), pb.AllocatableResourcesRequest
            ),
            "Get": _method(self._get, pb.GetPodResourcesRequest),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self._server.add_insecure_port(f"unix:{self._path}")
        self._server.start()
        os.chmod(self._path, 0o660)  # noqa: PTH101  # as the kubelet's

    def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._server and self._pool:
            self._server.stop(None).wait(5)
            self._pool.shutdown()
            self._server = self._pool = None
        self._path.unlink(missing_ok=True)

    def _get(self, request: pb.GetPodResourcesRequest, context: grpc.ServicerContext) -> pb.GetPodResourcesResponse:
        def find(world: World) -> pb.PodResources | None:
            wanted = (request.pod_namespace, request.pod_name)
            found = [p for p in world.pods.values() if (p.spec.namespace, p.spec.name) == wanted]
            return _pod(world, found[0]) if found else None

        pod = self._read(find)
        if pod is None:
            context.abort(
                grpc.StatusCode.UNKNOWN, f"pod {request.pod_name} in namespace {request.pod_namespace} not found"
            )
        return pb.GetPodResourcesResponse(pod_resources=pod)


def _method(answer: Callable[..., Message], request: type[Message]) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request.FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )
