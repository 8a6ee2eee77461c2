# SPDX-License-Identifier: Apache-2.0
"""Which of the GPUs that are skipped is tried next."""

import time

from fakenvml.driver import Driver, wait_until
from fakenvml.fakenvml import Fault, Gpu, Node
from inferometer.sources.devices.child import Child, Departures
from inferometer.sources.devices.quarantine import Quarantine


def test_a_gpu_that_hangs_each_time_keeps_no_other_one_out(driver: Driver) -> None:
    """The GPU that has waited longest is tried first, whatever its index: the one that has just hung comes after it."""
    hang = Fault("hang", "gpu0", "nvmlDeviceGetUUID")
    driver.is_now(Node(tuple(Gpu(f"GPU-{i}", minor=i) for i in range(3)), faults=(hang,)))
    departures = Departures()
    quarantine = Quarantine(
        lambda: Child(nvml="pynvml", argument="", library=str(driver.library), patience=1.0),
        departures,
        patience=3.0,  # a machine that stalls for two seconds must not make a probe late
        source="nvidia",
    )
    try:
        quarantine.hold(0, delay=0.0)
        for index in (2, 1):
            quarantine.hold(index, delay=0.001)
        time.sleep(0.01)

        def others_are_back() -> bool:
            time.sleep(0.3)  # as long as a period: by its end the one that hangs is due again, and again
            departures.sweep()
            quarantine.step()
            return quarantine.indexes == (0,)

        wait_until(others_are_back)
        started = [pid for pid, call, _ in driver.calls() if call == "nvmlInitWithFlags"]
        assert len(started) == 3
    finally:
        quarantine.close()
        wait_until(lambda: not _left(departures))


def _left(departures: Departures) -> int:
    departures.sweep()
    return len(departures)
