# SPDX-License-Identifier: Apache-2.0
"""XIDs as the two tellers would have told them, and what is published of them: for the tests of the fold."""

from dataclasses import replace

from frames import NOW, gpu
from inferometer import catalog
from inferometer.model import Device, Metric, Point, Snapshot, Sxid, Xid


def by_nvml(number: int, code: int = 79, device: int = 0, *, at: float = 0.0, times: int = 1, late: float = 5.0) -> Xid:
    """Give an XID as NVML's event tells it; `at` is seconds after NOW, and `late` a period."""
    return Xid(number, code, NOW + at, "nvml", f"GPU-{device}", times=times, late=late)


def by_kernel(number: int, code: int = 79, device: int = 0, *, at: float = 0.0) -> Xid:
    """Give an XID as the kernel's log tells it: by the address of the GPU."""
    return Xid(number, code, NOW + at, "kernel", pci_address=address(device))


def of_switch(number: int, code: int = 20034, *, fatal: bool = True, switch: int = 0) -> Sxid:
    """Give an SXID."""
    return Sxid(number, code, NOW, f"0000:c{switch}:00.0", fatal)


def address(device: int) -> str:
    """Give the address that `with_address` gives a GPU, without the function, as the driver's lines have it."""
    return f"0000:{0x3B + device:02x}:00"


def with_address(device: int) -> Device:
    """Give a GPU that shows its address, as the devices source writes it."""
    return replace(gpu(device), pci_address=f"{address(device)}.0")


def points(snapshot: Snapshot, metric: Metric) -> list[Point]:
    """Give a metric's points."""
    return [p for p in snapshot.points if p.metric is metric]


def labels(point: Point) -> dict[str, str]:
    """Give a point's attributes by key."""
    return {key: value for key, value in zip(point.metric.keys, point.attributes, strict=True) if value is not None}


def counts(snapshot: Snapshot) -> dict[tuple[str, int], float]:
    """Give the counters of XIDs that are not 0, by GPU and code."""
    return {key: value for key, value in counters(snapshot).items() if value}


def counters(snapshot: Snapshot) -> dict[tuple[str, int], float]:
    """Give the counters of XIDs by GPU and code, those that stand at 0 among them."""
    return {
        (labels(p)["hw.id"], int(labels(p)["gpu.xid.code"])): number(p) for p in points(snapshot, catalog.XID_ERRORS)
    }


def totals(snapshot: Snapshot) -> dict[str, float]:
    """Give each GPU's XIDs of any code."""
    return {labels(p)["hw.id"]: number(p) for p in points(snapshot, catalog.XID_EVENTS)}


def dropped(snapshot: Snapshot, limit: str = "xid") -> float | None:
    """Give what a limit has dropped; None where that is not told."""
    return next((number(p) for p in points(snapshot, catalog.DROPPED) if p.attributes[0] == limit), None)


def number(point: Point) -> float:
    """Give a point's value, which is a number."""
    assert isinstance(point.value, float)
    return point.value
