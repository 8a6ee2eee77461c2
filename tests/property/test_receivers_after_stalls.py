# SPDX-License-Identifier: Apache-2.0
"""Whatever stalls, comes late or changes: two ticks later receivers have what the newest snapshot says, series by series."""

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frames import busy, gpu, instance, memory
from inferometer import catalog
from inferometer.model import Allocation, Device, DeviceReport, EngineReport, Pod, Reading, Target
from stalls import PERIOD, Fate, Key, Receiver, Stage

TARGETS = {name: Target(name, f"http://{name}/metrics", namespace="ns", pod=name[0]) for name in ("a:1", "b:2")}
SOURCES: tuple[Key, ...] = (
    ("nvidia", ""),
    ("podresources", ""),
    ("pods", ""),
    *(("engine", instance) for instance in TARGETS),
)


class World(NamedTuple):
    """What is so on the node."""

    devices: tuple[Device, ...]
    details: Mapping[str, str]
    use: float
    calls: Mapping[str, tuple[int, float]]
    unresponsive: Mapping[str, float]
    pods: tuple[Pod, ...]
    held: bool
    versions: Mapping[str, str]
    missing: tuple[str, ...]
    is_blind: bool

    def values(self) -> dict[Key, object]:
        """Give what each source reads."""
        readings = [memory(device, 1e9) for device in self.devices]
        readings += [busy(device, self.use) for device in self.devices if not device.mig_enabled]
        report = DeviceReport(
            self.devices,
            tuple(readings),
            unresponsive=self.unresponsive,
            details=self.details,
            calls=self.calls,
            restarts={"crashed": len(self.calls)},
        )
        allocations = (Allocation("ns", "a", "main", "GPU-0"), Allocation("ns", "b", "main", "GPU-0"))[: 1 + self.held]
        engines = {("engine", name): self._engine(target) for name, target in TARGETS.items()}
        return {("nvidia", ""): report, ("podresources", ""): allocations, ("pods", ""): self.pods, **engines}

    def _engine(self, target: Target) -> EngineReport:
        name = target.instance
        said = () if self.is_blind else (Reading(name, catalog.REQUESTS_RUNNING, (), self.use),)
        return EngineReport(target, "vllm", "vllm", "engine", self.versions[name], ("m",), said, missing=self.missing)


PODS = (
    (),
    (Pod("uid-a", "ns", "a"), Pod("uid-b", "ns", "b")),
    (Pod("uid-a", "ns", "a", labels={"team": "x", "app.kubernetes.io/version": "2"}), Pod("uid-b", "ns", "b")),
    (Pod("uid-a2", "ns", "a"),),
)
worlds = st.builds(
    World,
    devices=st.sampled_from([(gpu(0),), (gpu(0), gpu(1)), (gpu(0), gpu(1, mig_enabled=True), instance(1, 0))]),
    details=st.sampled_from([{}, {catalog.HW_DRIVER.key: "1"}]),
    use=st.sampled_from([0.0, 0.5]),
    calls=st.sampled_from([{"nvmlInit": (1, 0.1)}, {"nvmlInit": (2, 0.2)}, {"nvmlInit": (2, 0.2), "x": (1, 0.1)}]),
    unresponsive=st.sampled_from([{}, {"GPU-0": 3.0}]),
    pods=st.sampled_from(PODS),
    held=st.booleans(),
    versions=st.fixed_dictionaries({name: st.sampled_from("12") for name in TARGETS}),
    missing=st.sampled_from([(), ("x",)]),
    is_blind=st.booleans(),
)


class Moment(NamedTuple):
    """What happens in one tick; a source without a fate reads in time."""

    world: World | None  # another one
    fates: Mapping[Key, Fate]
    stood: float
    pushes: bool


moments = st.builds(
    Moment,
    world=st.none() | worlds,
    fates=st.dictionaries(st.sampled_from(SOURCES), st.sampled_from(get_args(Fate))),
    stood=st.sampled_from([0.0, 0.0, 0.0, PERIOD, 2.5 * PERIOD]),
    pushes=st.sampled_from([True, True, False]),
)


@pytest.mark.parametrize("strict", [False, True])
@settings(max_examples=100)
@given(world=worlds, life=st.lists(moments, min_size=1, max_size=8))
def test_receivers_catch_up_within_two_ticks(strict: bool, world: World, life: list[Moment]) -> None:
    """What ended and is back, came late, or is another's now is not missing from a receiver until it is said again anyway."""
    receiver = Receiver(strict=strict)
    stage = Stage([receiver])

    def tick(**how: Any) -> None:
        stage.tick(world.values(), targets=TARGETS, **how)

    tick()
    assert receiver.page == stage.page
    for moment in life:
        world = moment.world or world
        fates = moment.fates
        tick(fates=lambda key: fates.get(key, "in time"), stood=moment.stood, pushes=moment.pushes)  # noqa: B023  # it is asked within this tick
    for _ in range(2):
        tick()

    assert receiver.page == stage.page
