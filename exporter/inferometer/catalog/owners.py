# SPDX-License-Identifier: Apache-2.0
"""Who holds a device, and what they hold and use of it."""

from inferometer.catalog.attributes import (
    ROLE,
)
from inferometer.catalog.define import (
    AVG,
    JOIN,
    ON_HOLDING,
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
    (*ON_HOLDING, ROLE),
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
OWNER_MEMORY_USAGE = metric(
    "gpu.owner.memory.usage", "By", U, ON_OWNER, SUM, "Device memory in use on what the owner holds alone."
)
OWNER_UTILIZATION = metric(
    "gpu.owner.utilization", "1", G, ON_OWNER, AVG, "Fraction of time that the GPU the owner holds alone was busy."
)
OWNER_TIME = metric("gpu.owner.time", "s", C, ON_OWNER, SUM, "Time that the owner has held the device alone.")

OWNER_SM_ACTIVITY = metric(
    "gpu.owner.sm.activity", "1", G, ON_OWNER, AVG, "Fraction of the SMs that were busy, of what the owner holds alone."
)
