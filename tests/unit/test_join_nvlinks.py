# SPDX-License-Identifier: Apache-2.0
"""When an NVLink that is inactive is a fault: only where it is known to lead somewhere."""

from collections.abc import Mapping
from dataclasses import replace

from frames import CONTEXT, frames
from inferometer import catalog
from inferometer.join import join
from inferometer.model import Device, DeviceReport, Reading

CARD = "NVIDIA A100 80GB PCIe"
BRIDGE = (0, 1, 2, 3)  # the links of one bridge of three


def card(index: int, model: str = CARD, *, mig: bool = False) -> Device:
    details = {"hw.model": model} if model else {}
    return Device(f"GPU-{index}", index, minor=index, mig_enabled=mig, details=details)


def ill(
    *cards: tuple[Device, set[int]],
    links: int = 12,
    seen: Mapping[str, frozenset[str]] | None = None,
    fabric: bool = False,
) -> set[str]:
    """Give the UUIDs of the GPUs with a link down; each card is told with the links that are up."""
    readings = [
        Reading(device.uuid, catalog.NVLINK_UP, ((catalog.NVLINK.key, str(link)),), float(link in up))
        for device, up in cards
        for link in range(links)
    ]
    if fabric:
        state = ((catalog.FABRIC_STATE.key, "completed"),)
        readings += [Reading(device.uuid, catalog.GPU_FABRIC_STATE, state, 1.0) for device, _ in cards]
    told = frames(devices=[device for device, _ in cards], readings=readings)
    (frame,) = told.good
    assert isinstance(frame.value, DeviceReport)
    frame = replace(frame, value=replace(frame.value, linked=seen or {}))
    snapshot = join(replace(told, good=(frame,), outcomes=(frame,)), CONTEXT)
    keys = catalog.GPU_HEALTH_CAUSE.keys
    causes = [
        dict(zip(keys, p.attributes, strict=True)) for p in snapshot.points if p.metric is catalog.GPU_HEALTH_CAUSE
    ]
    assert all(cause["gpu.health.cause"] == "nvlink_down" for cause in causes)
    return {str(cause["hw.id"]) for cause in causes}


def test_cards_with_one_bridge_of_three_are_well() -> None:
    """What was never wired is inactive for ever."""
    seen = {f"GPU-{i}": frozenset(map(str, BRIDGE)) for i in range(2)}

    assert not ill((card(0), set(BRIDGE)), (card(1), set(BRIDGE)))
    assert not ill((card(0), set(BRIDGE)), (card(1), set(BRIDGE)), seen=seen)


def test_an_h100_nvl_with_all_its_bridges_is_well() -> None:
    """It has 18 links by NVML's count, of which six lead nowhere, the same of each card."""
    up = set(range(18)) - {4, 5, 10, 11, 16, 17}

    assert not ill((card(0, "NVIDIA H100 NVL"), up), (card(1, "NVIDIA H100 NVL"), up), links=18)


def test_a_link_that_was_up_is_down() -> None:
    """Whether or not another one is up: all of them can fail at once."""
    seen = {"GPU-0": frozenset({"0", "1"})}

    assert ill((card(0), {0}), seen=seen) == {"GPU-0"}
    assert ill((card(0), set()), seen=seen) == {"GPU-0"}
    assert not ill((card(0), {0, 1}), seen=seen)


def test_a_link_that_was_down_when_the_agent_began_is_known_by_the_peers() -> None:
    """Another GPU of the model has it up; which of two is right about another model nobody knows."""
    sound = {0, 1, 2, 3, 4, 5}
    other = (card(2, "NVIDIA H100 PCIe"), {0, 1, 2, 3, 4, 5, 6, 7})

    assert ill((card(0), sound), (card(1), sound - {4})) == {"GPU-1"}
    assert not ill((card(0), sound), (card(1), sound), other)
    assert not ill((card(0, ""), sound), (card(1, ""), sound - {4}))  # without a name there is no model


def test_a_card_without_a_bridge_beside_cards_with_one_is_well() -> None:
    """No link of it is up, so none is known to lead anywhere."""
    assert not ill((card(0), set(BRIDGE)), (card(1), set(BRIDGE)), (card(2), set()), (card(3), set()))


def test_while_a_gpu_is_in_mig_mode_no_link_of_a_bridge_is_down() -> None:
    """NVML reports those links as inactive, at both ends."""
    seen = {f"GPU-{i}": frozenset(map(str, BRIDGE)) for i in range(2)}

    assert ill((card(0), set()), (card(1), set()), seen=seen) == {"GPU-0", "GPU-1"}
    assert not ill((card(0, mig=True), set()), (card(1), set()), seen=seen)


def test_a_gpu_in_mig_mode_behind_switches_hides_no_fault_of_another() -> None:
    """In a fabric every link leads to a switch; those of the GPU in MIG mode itself say nothing."""
    seen = {f"GPU-{i}": frozenset(map(str, range(12))) for i in range(3)}
    whole = set(range(12))

    assert ill((card(0, mig=True), set()), (card(1), whole - {3}), (card(2), whole), seen=seen, fabric=True) == {
        "GPU-1"
    }


def test_a_link_that_is_refused_is_not_down() -> None:
    """There is no reading of it, and so no judgement."""
    assert not ill((card(0), {0, 1}), links=2, seen={"GPU-0": frozenset({"0", "1", "7"})})
