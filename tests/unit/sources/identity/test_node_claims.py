# SPDX-License-Identifier: Apache-2.0
"""Claims from the files of the kubelet and of NVIDIA's driver, as their sources write them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from inferometer import config
from inferometer.model import AllocatedClaim, Grant, Reason, Trouble
from inferometer.sources.identity.node_claims import NodeClaims
from inferometer.sources.identity.node_files import parse_cdi, parse_checkpoint, parse_state

UID = "067798be-454e-4be4-9047-1aa06aea63f7"
OTHER = "4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"


def device(name: str, *requests: str, share: str | None = None) -> Any:
    """A device as kubelet 1.37 writes it (pkg/kubelet/cm/dra/state/state.go)."""
    cdi = [f"k8s.gpu.nvidia.com/claim={UID}-{name}"]
    return {
        "PoolName": "n1",
        "DeviceName": name,
        "ShareID": share,
        "RequestNames": list(requests) or None,
        "CDIDeviceIDs": cdi,
    }


def state(*claims: Any, key: str = "ClaimInfoStateList") -> bytes:
    data = {"kind": "DRACheckpoint", "apiVersion": "checkpoint.dra.kubelet.k8s.io/v1", key: list(claims)}
    return json.dumps({"Data": json.dumps(data), "Checksum": 2570581864}).encode()


def prepared(uid: str, *devices: Any, driver: str = "gpu.nvidia.com", name: str = "x") -> Any:
    drivers = {driver: {"Devices": list(devices)}}
    return {"ClaimUID": uid, "ClaimName": name, "Namespace": "ns", "PodUIDs": {"p": {}}, "DriverState": drivers}


def checkpoint(uid: str, *, version: str = "v2", named: bool = True, admin: bool = False) -> bytes:
    """A claim as the driver 0.4 and 0.5 write it (cmd/gpu-kubelet-plugin/checkpointv.go)."""
    result = {"request": "a", "driver": "gpu.nvidia.com", "pool": "n1", "device": "gpu-3", "adminAccess": admin}
    claim = {"checkpointState": "PrepareCompleted", "status": {"allocation": {"devices": {"results": [result]}}}}
    names = {"name": "x", "namespace": "ns"} if named else {}
    return json.dumps({"checksum": 1, version: {"preparedClaims": {uid: {**claim, **names}}}}).encode()


def cdi(uid: str) -> str:
    """A specification as the driver writes it, shortened (CDI 0.5)."""
    return f"""\
---
cdiVersion: 0.5.0
kind: k8s.gpu.nvidia.com/claim
devices:
- name: {uid}-gpu-0-mig-1g12gb-19-0
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
      hostPath: /dev/nvidia0
    - path: /dev/nvidia-caps/nvidia-cap21
      type: c
- name: {uid}-gpu-3
  containerEdits:
    env: [A=B]
    deviceNodes:
    - {{path: /dev/nvidia3}}
containerEdits:
  deviceNodes:
  - path: /dev/nvidiactl
"""


def test_the_kubelets_state_tells_uids_requests_and_shares() -> None:
    """One grant for each request of a device; who only observes it does not tell."""
    (claim,) = parse_state(state(prepared(UID, device("gpu-0", "a", "b"), device("gpu-1", share="s"))))

    assert claim == AllocatedClaim(
        "ns",
        "x",
        UID,
        (
            Grant("a", "gpu.nvidia.com", "n1", "gpu-0"),
            Grant("b", "gpu.nvidia.com", "n1", "gpu-0"),
            Grant("", "gpu.nvidia.com", "n1", "gpu-1", share_id="s"),
        ),
        complete=False,
    )


@pytest.mark.parametrize(
    ("content", "claims"),
    [
        (state(), 0),
        (state(prepared(UID), prepared("")), 1),
        (state(prepared(UID), key="Entries"), 1),
        (state(prepared(UID), {"ClaimUID": OTHER, "DriverState": None}, 7), 2),
        (state(prepared(UID, 7), {"ClaimUID": OTHER, "DriverState": {"d": {"Devices": None}}}), 2),
    ],
    ids=["empty", "no-uid", "older", "without-drivers", "without-devices"],
)
def test_what_the_state_may_lack(content: bytes, claims: int) -> None:
    """It is an internal format: what is missing is missing, and the rest is read."""
    assert len(parse_state(content)) == claims


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"Data": 7}', b'{"Data": "[]"}', b'{"Data": "{\\"Entries\\": 7}"}']
)
def test_another_state_is_refused(content: bytes) -> None:
    """What is no state of a kubelet is said to be none."""
    with pytest.raises(ValueError, match="dra_manager_state"):
        parse_state(content)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_drivers_checkpoint_tells_admin_access(version: str) -> None:
    """The driver keeps each claim's whole status."""
    (claim,) = parse_checkpoint(checkpoint(UID, version=version, admin=True))

    assert (claim.uid, claim.grants, claim.complete) == (
        UID,
        (Grant("a", "gpu.nvidia.com", "n1", "gpu-3", admin=True),),
        True,
    )


def test_a_checkpoint_without_claims_and_a_broken_claim() -> None:
    """No claim is an answer; one that has no form that is known is left out."""
    assert parse_checkpoint(b'{"checksum": 1, "v1": {}, "v2": {"checksum": 2}}') == ()
    assert parse_checkpoint(b'{"v2": {"preparedClaims": {"a": {"status": 7}, "b": null}}}')[0].uid == "b"
    with pytest.raises(ValueError, match="checkpoint"):
        parse_checkpoint(b"<html>")


def test_a_specification_names_device_files() -> None:
    """Of each device its own files, without those that all share."""
    assert parse_cdi(cdi(UID).encode()) == {
        "gpu-0-mig-1g12gb-19-0": ("/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap21"),
        "gpu-3": ("/dev/nvidia3",),
    }


@pytest.mark.parametrize(
    "content", [b"", b"devices: 7", b"a: [", b"!!python/object:os.system {}", b"\xff\xfe\x00", b"- 1"]
)
def test_another_specification_is_refused(content: bytes) -> None:
    """Nothing is made of what is no CDI specification."""
    with pytest.raises(ValueError, match="CDI"):
        parse_cdi(content)


@pytest.fixture
def settings(tmp_path: Path) -> config.Claims:
    return config.Claims(
        state_file=str(tmp_path / "state"), checkpoint=str(tmp_path / "checkpoint"), cdi_dir=str(tmp_path)
    )


def test_the_driver_knows_more_than_the_kubelet(tmp_path: Path, settings: config.Claims) -> None:
    """Its word goes first, by UID; what it calls by UID alone has its name from the kubelet; device files come on top."""
    claims = (prepared(UID, device("gpu-3", "a")), prepared(OTHER, device("nic-0"), driver="dranet", name="y"))
    (tmp_path / "state").write_bytes(state(*claims))
    (tmp_path / "checkpoint").write_bytes(checkpoint(UID, named=False, admin=True))
    (tmp_path / f"k8s.gpu.nvidia.com-claim_{UID}.yaml").write_text(cdi(UID))

    one, two = NodeClaims(settings).read([UID])

    grant = Grant("a", "gpu.nvidia.com", "n1", "gpu-3", admin=True, nodes=("/dev/nvidia3",))
    assert one == AllocatedClaim("ns", "x", UID, (grant,))
    assert (two.name, two.complete) == ("y", False)


def test_either_file_alone_is_enough(tmp_path: Path, settings: config.Claims) -> None:
    """Other vendors have no checkpoint; an agent may have been given the driver's directory alone."""
    (tmp_path / "state").write_bytes(state(prepared(UID, device("gpu-3", "a"))))
    assert [c.complete for c in NodeClaims(settings).read([])] == [False]
    (tmp_path / "state").unlink()
    (tmp_path / "checkpoint").write_bytes(checkpoint(UID))
    assert [c.complete for c in NodeClaims(settings).read([])] == [True]


def test_a_change_is_seen_and_what_does_not_change_is_read_once(tmp_path: Path, settings: config.Claims) -> None:
    """The files are looked at each period and parsed only when they are others."""
    reader = NodeClaims(settings)
    (tmp_path / "state").write_bytes(state(prepared(UID)))
    (first,) = reader.read([])
    (second,) = reader.read([])
    assert first is second
    (tmp_path / "new").write_bytes(state(prepared(UID), prepared(OTHER)))
    (tmp_path / "new").rename(tmp_path / "state")
    assert len(reader.read([])) == 2


def test_a_file_that_is_none_is_a_clear_trouble(tmp_path: Path, settings: config.Claims) -> None:
    """No file, a directory, a FIFO, nonsense: never a wait, and the place is named."""
    path = tmp_path / "state"

    def reason() -> Reason:
        with pytest.raises(Trouble) as caught:
            NodeClaims(settings).read([])
        assert str(path) in caught.value.message
        return caught.value.reason

    assert reason() is Reason.MISSING
    path.mkdir()
    assert reason() is Reason.MISSING
    path.rmdir()
    os.mkfifo(path)
    assert reason() is Reason.MISSING
    path.unlink()
    path.write_text("{}")
    assert reason() is Reason.MALFORMED


def test_a_uid_is_no_path(tmp_path: Path, settings: config.Claims) -> None:
    """A UID that the kubelet's answer made up leads nowhere."""
    hostile = "../../etc"
    (tmp_path / "state").write_bytes(state(prepared(hostile, device("gpu-3", "a"))))
    (claim,) = NodeClaims(settings).read([hostile])
    assert claim.grants[0].nodes == ()
