# SPDX-License-Identifier: Apache-2.0
"""Who holds a device, and what they hold and use of it."""

from inferometer.catalog.attributes import (
    CLAIM_DEVICE,
    CLAIM_DRIVER,
    CLAIM_POOL,
    CLAIM_SHARE,
    COST_CENTER,
    NAMESPACE,
    POD,
    POD_GROUP,
    POD_UID,
    PROCESS_PLACE,
    QUEUE,
    ROLE,
    SHARING_STRATEGY,
    TEAM,
    TELEMETRY,
    WORKLOAD,
    WORKLOAD_KIND,
)
from inferometer.catalog.define import (
    JOIN,
    ON_HOLDING,
    ON_INSTANCE,
    ON_OWNER,
    SUM,
    C,
    G,
    U,
    metric,
)

# Owners.
OWNER_INFO = metric(
    "gpu.owner.info",
    "{holding}",
    G,
    (
        *ON_HOLDING,
        *(CLAIM_DRIVER, CLAIM_POOL, CLAIM_DEVICE, CLAIM_SHARE, SHARING_STRATEGY, POD_GROUP),
        *(QUEUE, ROLE, TELEMETRY),
    ),
    JOIN,
    "Always 1, while the holding lasts: who holds a GPU or MIG instance. The one series per holding to join on.",
)
OWNER_UNRESOLVED = metric(
    "gpu.owner.unresolved",
    "{allocation}",
    G,
    (),
    SUM,
    "Allocations that the kubelet names and no device here answers to.",
)
OWNER_MEMORY_USAGE = metric("gpu.owner.memory.usage", "By", U, ON_OWNER, SUM, "Device memory in use, by whom.")
OWNER_MEMORY_LIMIT = metric(
    "gpu.owner.memory.limit",
    "By",
    U,
    ON_OWNER,
    SUM,
    "Device memory that the owner may use. Absent where pods share all of a device without limits.",
)
OWNER_UTILIZATION = metric(
    "gpu.owner.utilization",
    "1",
    G,
    ON_OWNER,
    SUM,
    "Fraction of time that the GPU was busy, by for whom. Adds up to the GPU's.",
)
OWNER_SM_ACTIVITY = metric(
    "gpu.owner.sm.activity", "1", G, ON_OWNER, SUM, "Fraction of the device's SMs that were busy, by for whom."
)
OWNER_TENSOR_ACTIVITY = metric(
    "gpu.owner.tensor.activity",
    "1",
    G,
    ON_OWNER,
    SUM,
    "Fraction of time that the device's tensor pipes were active, by for whom.",
)
OWNER_DRAM_ACTIVITY = metric(
    "gpu.owner.dram.activity", "1", G, ON_OWNER, SUM, "Fraction of the device's memory bandwidth in use, by for whom."
)
OWNER_POWER = metric(
    "gpu.owner.power", "W", G, ON_OWNER, SUM, "Power of a GPU, where one pod has it alone; else nobody's."
)
OWNER_TIME = metric(
    "gpu.owner.time",
    "s",
    C,
    ON_OWNER,
    SUM,
    "Time of the device, by whose it was: of a shared one each pod has its part. What nobody held is attribution none.",
)
OWNER_ENERGY = metric(
    "gpu.owner.energy", "J", C, ON_OWNER, SUM, "Energy of a GPU while one pod had it alone; else nobody's."
)
OWNER_UNALLOCATED = metric(
    "gpu.owner.unallocated",
    "{process}",
    G,
    (*ON_INSTANCE, NAMESPACE, POD, POD_UID, WORKLOAD_KIND, WORKLOAD, TEAM, COST_CENTER, PROCESS_PLACE),
    SUM,
    "Processes on a device that nothing allocated to their pod, and those of the host itself.",
)
