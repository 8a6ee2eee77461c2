# SPDX-License-Identifier: Apache-2.0
"""The simulated world keeps true books: what is spent, held and counted adds up, and a seed repeats it."""

import pytest

from inferometer.simulation import scenario
from inferometer.simulation.ledger import Ledger
from inferometer.simulation.world import World


def make_world(seed: int = 1, *, seconds: float = 0.0) -> World:
    world = World(seed, 100)
    for spec in scenario.PODS:
        if spec.started:
            world.start(spec.key, created=0.0)
    for _ in range(round(seconds * 10)):
        world.advance()
    return world


def test_a_seed_repeats_the_world_and_another_does_not() -> None:
    """The same seed gives the same books to the last digit; another seed gives other devices and other numbers."""
    first, again, other = (make_world(seed, seconds=20).ledger() for seed in (7, 7, 8))
    assert first == again
    assert first.devices[0].uuid != other.devices[0].uuid
    assert first.engines[0].generation_tokens != other.engines[0].generation_tokens


def test_energy_is_the_exact_integral_of_power() -> None:
    """The meter advances by power times time at every step, to the meter's own resolution of a millijoule."""
    world = make_world()
    spent = {gpu.spec.uuid: 0 for gpu in world.gpus}
    before = {gpu.spec.uuid: gpu.energy for gpu in world.gpus}
    for _ in range(300):
        world.advance()
        for gpu in world.gpus:
            spent[gpu.spec.uuid] += gpu.power * world.step  # milliwatts times milliseconds: microjoules
    for gpu in world.gpus:
        assert gpu.energy - before[gpu.spec.uuid] == spent[gpu.spec.uuid] // 1000
        assert gpu.power <= 700_000


def test_load_is_what_moves_a_gpu() -> None:
    """A GPU that nobody uses idles; one that serves an engine is busy, draws more and is warmer."""
    ledger = make_world(seconds=60).ledger()
    busy, idle = ledger.devices[0], ledger.devices[-1]
    assert (busy.index, idle.index) == (0, 7)
    assert idle.utilization == 0
    assert busy.utilization is not None
    assert busy.utilization > 0.9
    assert (busy.power or 0) > 3 * (idle.power or 0)
    assert (busy.temperature or 0) > (idle.temperature or 0) + 5


def test_an_engine_on_two_gpus_loads_both() -> None:
    """Tensor parallel GPUs work alike."""
    first, second = make_world(seconds=60).ledger().devices[:2]
    assert first.utilization == second.utilization
    assert first.power == pytest.approx(second.power, rel=0.05)


def test_memory_of_a_partitioned_gpu_is_that_of_its_instances() -> None:
    """What the instances use is what their GPU uses, and none of them tells utilisation or power."""
    ledger = make_world().ledger()
    gpu = next(d for d in ledger.devices if d.index == 2 and d.parent is None)
    instances = [d for d in ledger.devices if d.parent == gpu.uuid]
    assert [d.profile for d in instances] == ["3g.40gb", "2g.20gb", "1g.10gb"]
    assert gpu.memory_used == sum(d.memory_used for d in instances) > 0
    assert gpu.utilization is None
    assert all((d.power, d.joules, d.utilization, d.temperature) == (None,) * 4 for d in instances)


def test_memory_is_held_by_those_who_hold_the_device() -> None:
    """A device's memory in use is the sum over its pods, fits the device, and goes with them."""
    world = make_world()
    for device in world.ledger().devices:
        assert device.memory_used + device.memory_reserved <= device.memory_total
    for key in list(world.pods):
        world.end(key)
    assert {d.memory_used for d in world.ledger().devices} == {0}
    assert world.ledger().holdings == ()


def holders(ledger: Ledger, index: int) -> list[tuple[str, str | None]]:
    uuids = {d.uuid for d in ledger.devices if d.index == index}
    return [(h.pod, h.claim_name) for h in ledger.holdings if h.device in uuids]


def test_the_node_has_every_kind_of_holding() -> None:
    """Whole GPUs, MIG by plugin and by claim, time slices, a shared claim, an idle claim, a free GPU."""
    ledger = make_world().ledger()
    assert holders(ledger, 0) == holders(ledger, 1) == [("chat-6f9c7d5b8d-x7k2p", None)]
    assert holders(ledger, 2) == [("summary-5b6d8f9c4c-m4t9z", None), ("guard-0", "guard-0-gpu-7hx2k")]
    assert [h.replicas for h in ledger.holdings if h.resource == "nvidia.com/gpu.shared"] == [1, 2, 1]
    assert holders(ledger, 4) == [("search-ranker-0", "search-gpu"), ("search-index-b7d4c8f66-tz5vk", "search-gpu")]
    assert {claim for _, claim in holders(ledger, 5)} == {"notebook-dana-0-gpu-xbpqm"}
    assert holders(ledger, 7) == []
    assert len({h.claim_uid for h in ledger.holdings if h.claim_name == "search-gpu"}) == 1


def test_a_pod_that_comes_back_is_another_owner() -> None:
    """The same name has a new UID and an engine that has counted nothing."""
    world = make_world(seconds=20)
    old = world.ledger().engine("guard-0")
    world.end("guard")
    assert "guard-0" not in {e.pod for e in world.ledger().engines}
    world.start("guard", created=20.0)
    new = world.ledger().engine("guard-0")
    assert (new.pod_uid != old.pod_uid, new.arrived, new.prompt_tokens) == (True, 0, 0)
    assert old.arrived > 0
    with pytest.raises(ValueError, match="runs already"):
        world.start("guard", created=21.0)
    with pytest.raises(KeyError, match="no pod"):
        world.start("nobody", created=21.0)
