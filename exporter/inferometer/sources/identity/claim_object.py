# SPDX-License-Identifier: Apache-2.0
"""A ResourceClaim (resource.k8s.io/v1) as the few facts that the join needs; pure."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from inferometer.model import AllocatedClaim, Grant
from inferometer.sources.identity.quantity import parse_quantity

CONFIG_GROUP = "resource.nvidia.com/"  # of GpuConfig and MigDeviceConfig, whatever their version
STRATEGIES = ("TimeSlicing", "MPS")

_NOTHING: Mapping[str, float] = MappingProxyType({})


def project(told: Any) -> AllocatedClaim:
    """Take a claim out of decoded JSON. Raises ValueError for another form."""
    try:
        metadata = told["metadata"]
        namespace, name, uid = (str(metadata[key]) for key in ("namespace", "name", "uid"))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a ResourceClaim: {error}") from None
    return project_status(namespace, name, uid, told.get("status"))


def project_status(namespace: str, name: str, uid: str, status: Any) -> AllocatedClaim:
    """Take a claim's grants out of its status, which is None while it is pending. Raises ValueError for another form."""
    try:
        status = status or {}
        devices = (status.get("allocation") or {}).get("devices") or {}
        configs = devices.get("config") or ()
        return AllocatedClaim(
            namespace,
            name,
            uid,
            tuple(_grant(result, configs) for result in devices.get("results") or ()),
            groups=tuple(
                str(user["name"]) for user in status.get("reservedFor") or () if user.get("resource") == "podgroups"
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a ResourceClaim: {error}") from None


def quantities(told: Any, driver: str) -> Mapping[str, float]:
    """Read a mapping of names to quantities; what is no quantity is left out, as a fact that nobody knows.

    A name without a domain is the driver's own: so is one with the driver's domain.
    """
    read = {}
    for name, quantity in (told or {}).items():
        try:
            read[str(name).removeprefix(f"{driver}/")] = parse_quantity(quantity)
        except ValueError:
            continue
    return MappingProxyType(read) if read else _NOTHING


def _grant(result: Any, configs: Any) -> Grant:
    """Read one DeviceRequestAllocationResult. Of a prioritized list the request is `<main>/<sub>`, and stays so."""
    return Grant(
        request=str(result["request"]),
        driver=str(result["driver"]),
        pool=str(result["pool"]),
        device=str(result["device"]),
        admin=result.get("adminAccess") is True,
        share_id=str(result["shareID"]) if result.get("shareID") else None,
        skipped=bool(result.get("skipNodeOperations")),
        consumed=quantities(result.get("consumedCapacity"), str(result["driver"])),
        sharing=next(_strategies(configs, str(result["request"])), ""),
    )


def _strategies(configs: Any, request: str) -> Iterator[str]:
    """Give the sharing strategies that NVIDIA's driver was told for a request, the claim's own before its class's.

    Source: api/nvidia.com/resource/v1beta1, `GpuSharing` and `MigDeviceSharing`. A configuration without requests is for all
    of them; of a prioritized list it may name the main one (`DeviceAllocationConfiguration`, resource.k8s.io/v1).
    """
    for wanted in ("FromClaim", "FromClass"):
        for config in configs:
            parameters = (config.get("opaque") or {}).get("parameters")
            if config.get("source") != wanted or not isinstance(parameters, dict):
                continue
            if (meant := config.get("requests")) and not {request, request.partition("/")[0]} & set(meant):
                continue
            strategy = (parameters.get("sharing") or {}).get("strategy")
            if str(parameters.get("apiVersion", "")).startswith(CONFIG_GROUP) and strategy in STRATEGIES:
                yield strategy
