# SPDX-License-Identifier: Apache-2.0
"""Several vendors' reports in one snapshot: every device once, at its own frame's time, and none for another's driver."""

from dataclasses import replace

from frames import CONTEXT, NOW, busy, frame, gpu
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import Device, DeviceReport, Frame, Frames, Reason, Snapshot, Trouble, Unsupported

AMD = Device("amd-0", 0, details={catalog.HW_VENDOR.key: "AMD", catalog.HW_MODEL.key: "MI300X"})
OURS, THEIRS = DeviceReport((gpu(0),), (busy(gpu(0), 0.5),)), DeviceReport((AMD,), (busy(AMD, 0.25),))


def snapshot(*good: Frame[object], outcomes: tuple[Frame[object], ...] = ()) -> Snapshot:
    ages = {(f.source, f.instance): NOW - f.at for f in good}
    return join(Frames(NOW, 1000.0, (*good, *outcomes), good, ages), CONTEXT)


def value(made: Snapshot, metric: object, *values: str) -> list[tuple[float, float]]:
    """The values and times of a metric's points that have all of some attribute values."""
    return [
        (float(p.value), p.at)  # type: ignore[arg-type]  # no histogram is asked for
        for p in made.points
        if p.metric is metric and set(values) <= set(p.attributes)
    ]


def test_each_vendors_readings_have_their_own_time() -> None:
    """A value stands once, at the time of the frame that it is from."""
    made = snapshot(frame("amd", THEIRS, age=2.0), frame("nvidia", OURS))

    assert value(made, catalog.GPU_UTILIZATION, "GPU-0") == [(0.5, NOW)]
    assert value(made, catalog.GPU_UTILIZATION, "amd-0") == [(0.25, NOW - 2.0)]
    assert value(made, catalog.GPU_READING_AGE, "amd-0") == [(2.0, NOW)]
    assert [device.uuid for device in made.devices] == ["GPU-0", "amd-0"]


def test_a_driver_is_described_on_its_own_gpus_only() -> None:
    """What one driver says of itself is on none of another's GPUs."""
    ours = replace(OURS, details={catalog.HW_DRIVER.key: "580.1"})

    made = snapshot(frame("amd", THEIRS), frame("nvidia", ours))

    assert len(value(made, catalog.GPU_INFO, "580.1")) == 1
    assert len(value(made, catalog.GPU_INFO, "GPU-0", "580.1")) == 1


def test_gpus_of_all_vendors_are_counted() -> None:
    """The number of GPUs is that of both, by model."""
    made = snapshot(frame("amd", THEIRS), frame("nvidia", OURS))

    assert sum(number for number, _ in value(made, catalog.GPU_DEVICES)) == 2.0
    assert (1.0, NOW) in value(made, catalog.GPU_DEVICES, "MI300X")


def test_there_are_no_gpus_where_every_driver_is_missing() -> None:
    """Only where no driver that is looked for is there the number is 0; one that fails may have some."""
    missing = Trouble(Reason.MISSING, "no driver")
    gone: list[Frame[object]] = [Frame(source, "", 1, NOW, 0.1, 5.0, trouble=missing) for source in ("amd", "nvidia")]
    hangs = replace(gone[0], trouble=Trouble(Reason.TIMEOUT, "it hangs"))

    assert value(snapshot(outcomes=tuple(gone)), catalog.GPU_DEVICES) == [(0.0, NOW)]
    assert value(snapshot(outcomes=(hangs, gone[1])), catalog.GPU_DEVICES) == []


def test_failed_calls_of_both_are_counted() -> None:
    """What a frame of each vendor lost is counted, once a frame."""
    failed = (Unsupported("x", "hw.power", "call", "unknown"),)

    made = snapshot(
        frame("amd", replace(THEIRS, failed=failed)), frame("nvidia", replace(OURS, failed=(*failed, *failed)))
    )

    assert sum(number for limit, _, number in made.drops if limit == "driver_call") == 3


def test_no_xids_are_counted_for_another_vendors_gpu() -> None:
    """XIDs are NVIDIA's: a counter that stands at 0 on another's GPU would say that it was looked."""
    _, made = account(State(), snapshot(frame("amd", THEIRS), frame("nvidia", OURS)), Rules())

    assert value(made, catalog.XID_EVENTS, "GPU-0")
    assert not value(made, catalog.XID_EVENTS, "amd-0")
    assert not value(made, catalog.XID_ERRORS, "amd-0")
