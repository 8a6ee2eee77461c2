# SPDX-License-Identifier: Apache-2.0
"""A node with every kind of holding, through the real join and fold: what the table and the status page are tested on."""

from collections.abc import Mapping

from frames import CONTEXT, NOW, failed, frames, gpu, instance
from inferometer import catalog
from inferometer.accounting import Rules, State, account
from inferometer.join import join
from inferometer.model import (
    AllocatedClaim,
    Allocation,
    Claim,
    Device,
    EngineReport,
    Grant,
    Pod,
    Reading,
    Reason,
    Snapshot,
    Target,
)

# Two GPUs of one engine, one in MIG mode, one shared by replicas, one by a claim that was read, one by one that was not, one free.
DEVICES = (gpu(0), gpu(1), gpu(2, mig_enabled=True), instance(2, 0), instance(2, 1), gpu(3), gpu(4), gpu(5), gpu(6))
PODS = tuple(
    Pod(f"uid-{name}", "serving", name, "Running", f"10.0.0.{i}")
    for i, name in enumerate(("pair", "slice", "left", "right", "claimed", "unclear"), 1)
)


def claimed(device: str, pod: str, claim: str) -> Allocation:
    return Allocation(
        "serving",
        pod,
        "main",
        device,
        claim=Claim("serving", claim, "gpu.nvidia.com", "n1", device, f"uid-{claim}"),
    )


def held(device: Device, pod: str, replica: str | None = None) -> Allocation:
    return Allocation("serving", pod, "main", device.uuid, "nvidia.com/gpu", replica)


ALLOCATIONS = (
    held(DEVICES[0], "pair"),
    held(DEVICES[1], "pair"),
    held(DEVICES[3], "slice"),
    held(gpu(3), "left", "0"),
    held(gpu(3), "right", "1"),
    claimed("gpu-4", "claimed", "read"),
    claimed("gpu-5", "unclear", "unread"),
)
CLAIMS = (AllocatedClaim("serving", "read", "uid-read", (Grant("gpus", "gpu.nvidia.com", "n1", "gpu-4"),)),)


def engine(pod: str, tokens: float, model: str = "llama-3-70b") -> EngineReport:
    """Give one scrape of a pod's engine; `:PORT` is an engine without a pod."""
    uid = "" if pod.startswith(":") else f"uid-{pod}"
    target = Target(f"serving/{pod}", f"http://127.0.0.1{pod if not uid else ':8000'}/metrics", pod_uid=uid)
    readings = tuple(
        Reading(
            target.instance,
            catalog.TOKENS,
            ((catalog.TOKEN_TYPE.key, kind), (catalog.MODEL.key, model), (catalog.PROVIDER.key, "vllm")),
            value,
        )
        for kind, value in (("output", tokens), ("input", 10 * tokens))
    )
    return EngineReport(target, "vllm", "vllm", "engine", "0.32.0", (model,), readings)


def snapshots(
    tokens: Mapping[str, tuple[float, float]],
    *,
    watts: float = 300.0,
    joules: float = 2500.0,
    apart: float = 10.0,
    late: tuple[Allocation, ...] = (),
    more: tuple[Reading, ...] = (),
) -> tuple[Snapshot, Snapshot]:
    """Give two snapshots; each GPU draws `watts` and spends `joules` between them, `tokens` are engines' counters at both.

    `late` are allocations that the second snapshot sees first, `more` are readings at both.
    """
    state, made = State(), []
    for tick in (0, 1):
        readings = [
            reading
            for device in DEVICES
            if not device.is_instance
            for reading in (
                Reading(device.uuid, catalog.POWER, (), watts),
                Reading(device.uuid, catalog.ENERGY, (), 1e6 + joules * tick),
            )
        ]
        seen = frames(
            devices=DEVICES,
            readings=[*readings, *more],
            allocations=ALLOCATIONS + late * tick,
            pods=PODS,
            claims=CLAIMS,
            engines=[engine(pod, pair[tick]) for pod, pair in tokens.items() if pair[tick] >= 0],
            troubles=[failed("engine", Reason.REFUSED, "serving/gone:8000")],
            passed=apart * tick,
        )
        state, snapshot = account(state, join(seen, CONTEXT), Rules())
        made.append(snapshot)
    assert made[1].at == NOW + apart
    return made[0], made[1]
