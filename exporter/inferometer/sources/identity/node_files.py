# SPDX-License-Identifier: Apache-2.0
"""What the node's own files say of claims: the kubelet's state, the NVIDIA driver's checkpoint, CDI specifications; pure.

All three are internal formats of their writers, so whatever has another form than the one that is known is refused, and what
is known but unexpected inside is left out.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from inferometer.model import AllocatedClaim, Grant
from inferometer.sources.identity.claim_object import project_status

UID_LENGTH = 36
_LISTS = ("ClaimInfoStateList", "Entries")  # the second in files of older kubelets


def parse_state(content: bytes) -> tuple[AllocatedClaim, ...]:
    """Read the kubelet's `dra_manager_state` (pkg/kubelet/cm/dra/state): claims as they were prepared, for every driver.

    Who has admin access it does not tell, nor what of a device's capacity was consumed. A device without a request's name is
    given as one of request "". Raises ValueError for another form.
    """
    outer = _json(content, "dra_manager_state")
    inner = _json(_text(outer.get("Data")), "the data of dra_manager_state")
    listed = next((inner[key] for key in _LISTS if key in inner), None)
    if not isinstance(listed, list | None):
        raise ValueError("dra_manager_state: no list of claims")  # noqa: TRY004  # one kind of error for what is malformed
    return tuple(
        AllocatedClaim(
            _text(claim.get("Namespace")),
            _text(claim.get("ClaimName")),
            _text(claim.get("ClaimUID")),
            tuple(_prepared(_mapping(claim.get("DriverState")))),
            complete=False,
        )
        for claim in _mappings(listed)
        if claim.get("ClaimUID")
    )


def _prepared(states: Mapping[str, Any]) -> Iterator[Grant]:
    for driver, state in states.items():
        for device in _mappings(_mapping(state).get("Devices")):
            pool, name = _text(device.get("PoolName")), _text(device.get("DeviceName"))
            share = _text(device.get("ShareID")) or None
            requests = device.get("RequestNames")
            for request in requests if requests and isinstance(requests, list) else ("",):
                yield Grant(_text(request), driver, pool, name, share_id=share)


def parse_checkpoint(content: bytes) -> tuple[AllocatedClaim, ...]:
    """Read the NVIDIA driver's `checkpoint.json` (cmd/gpu-kubelet-plugin, `checkpointv.go`): each claim's whole status.

    Names stand in it since version 2; before, they are empty and only the UID tells. Of the pods that share a claim it knows
    the first. Raises ValueError for another form.
    """
    outer = _json(content, "checkpoint")
    newest = outer.get("v2") or outer.get("v1") or {}
    claims = []
    for uid, prepared in _mapping(_mapping(newest).get("preparedClaims")).items():
        claim = _mapping(prepared)
        try:
            claims.append(
                project_status(_text(claim.get("namespace")), _text(claim.get("name")), uid, claim.get("status"))
            )
        except ValueError:
            continue
    return tuple(claims)


def parse_cdi(content: bytes) -> Mapping[str, tuple[str, ...]]:
    """Read the CDI specification of one claim: the device files of each of its devices, by name without the claim's UID.

    Source: CNCF Container Device Interface, `devices[].containerEdits.deviceNodes[].path`. Raises ValueError for another form.
    """
    try:
        # libyaml where PyYAML has it: such a file has hundreds of lines of mounts and hooks.
        told = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("a CDI specification that is no YAML") from None
    devices = _mapping(told).get("devices")
    if not isinstance(devices, list):
        raise ValueError("a CDI specification without devices")  # noqa: TRY004  # as above
    found = {}
    for device in _mappings(devices):
        nodes = _mapping(device.get("containerEdits")).get("deviceNodes")
        paths = (_text(node.get("path")) for node in _mappings(nodes))
        found[_text(device.get("name"))[UID_LENGTH + 1 :]] = tuple(path for path in paths if path)
    return found


def _json(text: bytes | str, what: str) -> Mapping[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{what}: no JSON") from None
    if not isinstance(told, dict):
        raise ValueError(f"{what}: JSON of another form")  # noqa: TRY004  # as above
    return told


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(values: Any) -> Iterator[Mapping[str, Any]]:
    return (value for value in (values if isinstance(values, list) else ()) if isinstance(value, dict))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
